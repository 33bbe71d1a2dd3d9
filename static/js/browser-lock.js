// Runs work that only one page or worker of this browser may do at a time. The Web Locks API exists in secure contexts
// only; elsewhere a lease in IndexedDB takes its place. A lease can run out while its holder is still working, so the
// work must be safe to do twice.

import { lease, release } from "./store.js";
import { uuid } from "./uuid.js";

/** How long a page that dies while it holds a lease blocks the others, in milliseconds. */
const LEASE_TIME = 15_000;
const LEASE_RETRY = 300;
const leaseHolder = uuid();

/** Waits for the lock `name`, runs `work` and returns its result. */
export const withBrowserLock = (name, work) => (navigator.locks ? navigator.locks.request(`sessile-${name}`, work) : withLease(name, work));

async function withLease(name, work) {
  // If the lease cannot be written, go on without it: a store that rejects writes has nothing to send anyway.
  while (!(await lease(name, leaseHolder, LEASE_TIME).catch(() => true))) await new Promise((done) => { setTimeout(done, LEASE_RETRY); });
  const renewing = setInterval(() => lease(name, leaseHolder, LEASE_TIME).catch(() => {}), LEASE_TIME / 3);
  try {
    return await work();
  } finally {
    clearInterval(renewing);
    await release(name, leaseHolder).catch(() => {});
  }
}

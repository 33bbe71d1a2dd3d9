// Runs work that only one page of this browser, or the worker, may do at a time. Web Locks exist in secure contexts only;
// elsewhere a lease in the store takes their place. Work that is done twice after all must have one effect only.

import { lease, release } from "./store.js";
import { uuid } from "./uuid.js";

/** A page that dies with a lease in its hand holds up the others for this long. */
const LEASE = 15_000;
const LOOK_AGAIN = 300;
const holder = uuid();

/** Waits for its turn, and gives back what `work` gives. */
export const exclusively = (name, work) => (navigator.locks ? navigator.locks.request(`sessile-${name}`, work) : leased(name, work));

async function leased(name, work) {
  // A store that cannot be written has nothing to send either.
  while (!(await lease(name, holder, LEASE).catch(() => true))) await new Promise((done) => { setTimeout(done, LOOK_AGAIN); });
  const renewing = setInterval(() => lease(name, holder, LEASE).catch(() => {}), LEASE / 3);
  try {
    return await work();
  } finally {
    clearInterval(renewing);
    await release(name, holder).catch(() => {});
  }
}

// The account that this page belongs to. The outbox checks it before each write: once a person's data has been erased
// on this device, no open page may store any of it again.

import { erasedSessions, erasureCount, read } from "./store.js";

/** The session that the server made this page for. The offline page and the worker have none. */
const pageSession = globalThis.document?.documentElement.dataset.session;

/** The account given to `serve`. Undefined until then: callers fall back to the account recorded in the store. */
export let pageAccount;
let countingErasures;
let erasuresAtStart;

/** Sets the page's account. The server rejects operations sent in another account's name. */
export async function serve(account) {
  pageAccount = account;
  countingErasures ??= read(["marks"], async ({ marks }) => {
    const isCurrent = pageSession || (await marks.get("here"))?.value === account;
    // The person signed out here before this page started, so the page may store nothing: NaN equals no count.
    return isCurrent ? erasureCount({ marks }, account) : NaN;
  });
  erasuresAtStart = await countingErasures;
}

/**
 * Whether the person's data was erased since this page started, or the page's session was signed out on this device.
 */
export async function isSignedOutHere({ marks }) {
  if (erasuresAtStart === undefined) return false;
  return (await erasureCount({ marks }, pageAccount)) !== erasuresAtStart || (await erasedSessions({ marks })).includes(pageSession);
}

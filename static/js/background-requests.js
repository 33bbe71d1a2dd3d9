// Aborts and pauses the requests that a page makes by itself. They are aborted when the session ends, because they
// would be answered 401 and a late answer must not restore erased data. They pause while a form is submitted, because
// the form may end the session or change its key. The worker has no session of its own, so nothing is aborted there.

/** How long requests pause after a form is submitted, in milliseconds. */
const FORM_PAUSE = 5_000;

let requests = new AbortController();
let hasSessionEnded = false;
let pausedUntil = 0;

/** A signal that aborts when either of two does. Safari before 17.4 lacks `AbortSignal.any`. */
export function anySignal(first, second) {
  if (AbortSignal.any) return AbortSignal.any([first, second]);
  const both = new AbortController();
  for (const signal of [first, second]) {
    if (signal.aborted) both.abort();
    else signal.addEventListener("abort", () => both.abort(), { once: true, signal: both.signal });
  }
  return both.signal;
}

/** The abort signal for a request that may take `timeout` milliseconds. */
export const requestSignal = (timeout) => anySignal(requests.signal, AbortSignal.timeout(timeout));

/** Aborts all requests, and prevents new ones on this page. */
export function abortRequests() {
  hasSessionEnded = true;
  requests.abort();
}

export const isSessionEnded = () => hasSessionEnded;

/** Milliseconds until requests may be made again. */
export const pauseLeft = () => (hasSessionEnded ? Infinity : Math.max(0, pausedUntil - performance.now()));

function pauseForForm(event) {
  if (event.defaultPrevented || event.target.method !== "post") return;
  pausedUntil = performance.now() + FORM_PAUSE;
  requests.abort();
  if (!hasSessionEnded) requests = new AbortController();
}

globalThis.document?.addEventListener("leaving", abortRequests);
globalThis.document?.addEventListener("submit", pauseForForm);

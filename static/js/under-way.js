// Requests that a page makes by itself are given up when its session ends: they would be answered 401, and an answer that
// comes late must not bring anything back. While a form is being sent, which may end the session or change its key, they
// wait. The worker makes requests too, but has no session of its own: there nothing is given up.

/** How long a form may take before requests are made again. */
const FORM_PAUSE = 5_000;

let current = new AbortController();
let isSessionOver = false;
let pausedUntil = 0;

/** A signal that is given when either of two is. Safari before 17.4 has no AbortSignal.any. */
export function either(one, other) {
  if (AbortSignal.any) return AbortSignal.any([one, other]);
  const both = new AbortController();
  for (const signal of [one, other]) {
    if (signal.aborted) both.abort();
    else signal.addEventListener("abort", () => both.abort(), { once: true, signal: both.signal });
  }
  return both.signal;
}

/** The signal for a request that may take `timeout` milliseconds. */
export const underWay = (timeout) => either(current.signal, AbortSignal.timeout(timeout));

/** Gives up what is under way. Nothing is begun on this page any more. */
export function giveUp() {
  isSessionOver = true;
  current.abort();
}

export const isGivenUp = () => isSessionOver;

/** Milliseconds until requests may be made again. */
export const pauseLeft = () => (isSessionOver ? Infinity : Math.max(0, pausedUntil - performance.now()));

function pauseForForm(event) {
  if (event.defaultPrevented || event.target.method !== "post") return;
  pausedUntil = performance.now() + FORM_PAUSE;
  current.abort();
  if (!isSessionOver) current = new AbortController();
}

globalThis.document?.addEventListener("leaving", giveUp);
globalThis.document?.addEventListener("submit", pauseForForm);

// Sends the operations in the outbox to the server and stores what changed there. One page or worker of the browser
// does this at a time. Pages and the worker call `flush` whenever there may be something to send or fetch. After a
// failure, `flush` retries by itself.

import { withBrowserLock } from "./browser-lock.js";
import { all, change, changes, erasedSessions, erasureCount, get, here, read } from "./store.js";
import { isSessionEnded, pauseLeft, requestSignal } from "./background-requests.js";
import { uuid } from "./uuid.js";
import { isSignedOutHere, pageAccount } from "./page-owner.js";

const MAX_OPERATIONS = 200;
/** Bytes of operations in one request. The server accepts 256 KiB, including the rest of the body. */
const MAX_BYTES = 200 * 1024;
const SEND_TIMEOUT = 20_000;
const FIRST_DELAY = 1_000;
const MAX_DELAY = 5 * 60_000;
/** The longest pause that `Retry-After` can cause, in milliseconds. */
const MAX_PAUSE = 60 * 60_000;
/** After this time, in milliseconds, this page sees a cookie that another page has just changed. */
const COOKIE_DELAY = 1_500;
const SYNC_STORES = ["people", "drafts", "outbox", "marks"];
/** Standings in which a retry cannot help until somebody signs in. */
const NO_RETRY = ["signed-out", "somebody-else"];
/** How many retries in a row may run early because another request has reached the service. */
const MAX_EARLY_RETRIES = 3;

let delay = FIRST_DELAY;
let timer;
let isFlushRequested = false;
let isPaused = false;
let flushing;
let earlyRetries = 0;

/**
 * The result of the last attempt: "saved", "offline", "away", "signed-out", "somebody-else" (another account is signed
 * in), or "stuck" if this device cannot read or write its store.
 */
export let standing = "saved";

/** Sends the outbox and fetches changes. Never rejects. */
export function flush() {
  isFlushRequested = true;
  flushing ??= run().finally(() => { flushing = undefined; });
  return flushing;
}

async function run() {
  clearTimeout(timer);
  while (isFlushRequested) {
    isFlushRequested = false;
    const wait = await withBrowserLock("outbox", synchronize).catch(() => {
      setStanding("stuck");
      return 0;
    });
    if (wait !== undefined) return NO_RETRY.includes(standing) ? undefined : scheduleRetry(wait);
    delay = FIRST_DELAY;
    earlyRetries = 0;
  }
}

/** Another request has reached the service, so retry at once instead of waiting for the timer. */
function retryEarly({ detail }) {
  if (detail !== "ok" || !["offline", "away"].includes(standing) || earlyRetries === MAX_EARLY_RETRIES) return;
  earlyRetries += 1;
  flush();
}

globalThis.document?.addEventListener("service-state", retryEarly);

/** Retries after at least `wait` milliseconds, with a random part so that devices do not retry all at once. */
function scheduleRetry(wait) {
  // A full device stays full: stop after the longest delay.
  if (standing === "stuck" && delay === MAX_DELAY) return;
  const backoff = isPaused ? 0 : delay * (0.5 + Math.random());
  timer = setTimeout(flush, Math.max(wait + Math.random() * FIRST_DELAY, backoff));
  if (!isPaused) delay = Math.min(delay * 2, MAX_DELAY);
  requestBackgroundSync();
}

/** Asks the browser to send the outbox later, even if no page is open then (Background Sync). */
export function requestBackgroundSync() {
  globalThis.navigator.serviceWorker?.ready.then((registration) => registration.sync?.register("outbox")).catch(() => {});
}

/** Tells state.js how the server answered a request that was sent at `began`. */
function reportAnswer(status, began) {
  globalThis.document?.dispatchEvent(new CustomEvent("service-answered", { detail: { status, began } }));
}

function setStanding(result) {
  if (standing === result) return;
  standing = result;
  const data = { standing };
  changes.postMessage?.(data);
  changes.dispatchEvent(new MessageEvent("message", { data }));
}

/**
 * Sends batches until the outbox is empty. Resolves to the milliseconds to wait if it must be retried, otherwise to
 * undefined.
 */
async function synchronize() {
  const account = pageAccount ?? (await here());
  if (!account || (await read(["marks"], isSignedOutHere))) return;
  const pause = await remainingPause();
  isPaused = pause > 0;
  if (isPaused) {
    setStanding("away");
    return pause;
  }
  let isSecondAttempt = false;
  for (let limit = MAX_OPERATIONS; ; ) {
    if (isSessionEnded()) return;
    if (pauseLeft() > 0) return pauseLeft();
    const { batch, erasures } = await takeBatch(account, limit);
    // Only pages need changes from the server. The worker only sends.
    if (batch.length === 0 && !globalThis.document) return;
    const answer = await sendBatch(account, batch);
    if (answer.status === 413 && batch.length > 1) {
      limit = Math.ceil(batch.length / 2);
    } else if (answer.status === 401 && answer.body?.reason === "unknown" && !isSecondAttempt) {
      isSecondAttempt = true;
      await new Promise((done) => { setTimeout(done, COOKIE_DELAY); });
    } else if (answer.isAborted) {
      // This page aborted the request, which says nothing about the service.
    } else if (!answer.isAccepted) {
      return handleFailure(answer, batch);
    } else {
      reportAnswer(answer.status, answer.began);
      // Not stored: the person is signing out or has signed out. After a sign-out nothing is left to send; during one,
      // try again.
      if (!(await applyAnswer(account, batch, erasures, answer.body))) return (await read(["marks"], isSignedOutHere)) ? undefined : 0;
      setStanding("saved");
      // The server sends changes in portions.
      if (answer.body.changes.more) continue;
      if (!(await all("outbox", account)).some(({ state }) => state !== "aside")) return;
    }
  }
}

/**
 * Milliseconds until the service accepts requests again. A time longer than the maximum means that the device's clock
 * was set back; then the result is 0.
 */
async function remainingPause() {
  const remaining = ((await get("marks", "notBefore"))?.value ?? 0) - Date.now();
  return remaining <= MAX_PAUSE ? remaining : 0;
}

/**
 * Takes the next operations to send and marks them as sent; from then on they do not change. Operations that were sent
 * before come first, unchanged.
 */
const takeBatch = (account, limit) => change(SYNC_STORES, async ({ outbox, marks }) => {
  const [batch, erasures] = [[], await erasureCount({ marks }, account)];
  const drafts = new Set();
  let bytes = 0;
  for (const entry of await outbox.all(account)) {
    const { op, state } = entry;
    if (state === "aside" || drafts.has(op.draftId)) continue;
    if (op.draftId) drafts.add(op.draftId);
    bytes += new Blob([JSON.stringify(op)]).size + 1;
    if (batch.length === limit || (bytes > MAX_BYTES && batch.length > 0)) break;
    entry.state = "sent";
    await outbox.put(entry);
    batch.push(entry);
  }
  return { batch, erasures };
});

/** Sends a batch. Resolves to the status of the answer, or 0 without one, and to its body if it came from Sessile. */
async function sendBatch(account, batch) {
  const person = await get("people", account);
  const installed = typeof matchMedia === "function" && matchMedia("(display-mode: standalone)").matches;
  const headers = { "Content-Type": "application/json" };
  if (batch.length === 0) headers["X-Unattended"] = "1";
  const body = JSON.stringify({
    device: typeof matchMedia === "function" ? { installed } : undefined,
    lastKnown: { userId: account, revision: person?.revision },
    operations: batch.map(({ op }) => op),
  });
  const began = performance.now();
  try {
    const answer = await fetch("/api/session/sync", { method: "POST", headers, body, cache: "no-store", redirect: "manual", signal: requestSignal(SEND_TIMEOUT) });
    const type = answer.headers.get("Content-Type") ?? "";
    const isOurs = type.startsWith(answer.ok ? "application/json" : "application/problem+json");
    const parsed = isOurs ? await answer.json() : undefined;
    return { status: answer.status, body: parsed, isAccepted: answer.ok && isValidAnswer(parsed, account, batch), wait: retryAfter(answer.headers), began };
  } catch {
    return { status: 0, wait: 0, began, isAborted: pauseLeft() > 0 };
  }
}

/** Whether the body answers this request. A network with its own sign-in page answers 200 too. */
const isValidAnswer = (body, account, batch) =>
  body?.user?.id === account && Boolean(body.session?.id) && body.results?.length === batch.length && Array.isArray(body.changes?.drafts);

/**
 * The wait in `Retry-After`, in milliseconds. The header holds seconds, or a date by the clock of the machine that
 * sends it (RFC 9110, 10.2.3).
 */
function retryAfter(headers) {
  const header = headers.get("Retry-After");
  if (!header) return 0;
  const now = Date.parse(headers.get("Date") ?? "") || Date.now();
  const wait = /^\d+$/.test(header.trim()) ? 1_000 * Number(header) : Date.parse(header) - now;
  return Math.min(Math.max(wait || 0, 0), MAX_PAUSE);
}

/**
 * Records why a batch failed. The queue stays as it is, except that operations the server can never accept are set
 * aside.
 */
async function handleFailure({ status, body, wait, began }, batch) {
  const isOurs = body !== undefined && status >= 400;
  const isReached = isOurs || status >= 500 || status === 413;
  reportAnswer(isReached ? status : 0, began);
  if (wait > 0) await change("marks", ({ marks }) => marks.put({ name: "notBefore", value: Date.now() + wait }));
  if (isOurs && status === 401) {
    setStanding("signed-out");
  } else if (isOurs && status === 409) {
    setStanding("somebody-else");
  } else if (isOurs && (status === 400 || status === 413) && batch.length > 0) {
    // The server can never accept these operations. Set them aside, so that they do not block the ones behind them.
    await setAsideBatch(batch, body);
    isFlushRequested = true;
    return;
  } else {
    setStanding(isReached ? "away" : "offline");
  }
  return wait;
}

// --- results

const setAsideBatch = (batch, problem) => change(SYNC_STORES, async ({ outbox }) => {
  for (const entry of batch) {
    await setAsideOrDrop(entry, problem, outbox);
    for (const next of await outbox.all(entry.account)) await rebase(next, entry.op, undefined, outbox);
  }
});

/**
 * Sets a rejected operation aside, to be shown to the person. If a newer operation builds on it, drops it: the newer
 * one holds the text.
 */
async function setAsideOrDrop(entry, problem, outbox) {
  const isReplaced = (await outbox.all(entry.account)).some((next) => buildsOn(next, entry.op));
  // If the person tries it again, it is an ordinary change of the draft.
  const op = entry.op.kind === "draft.keep" ? { ...entry.op, kind: "draft.put" } : entry.op;
  await (isReplaced ? outbox.delete(entry.seq) : outbox.put({ ...entry, op, state: "aside", problem }));
}

const buildsOn = (next, op) => next.op.draftId === op.draftId && next.op.baseVersion === null;

/**
 * Lets an operation that waited for `op` build on its result: on the new version, or after a conflict on the draft that
 * holds the text.
 */
async function rebase(next, op, draft, outbox) {
  if (!buildsOn(next, op)) return;
  next.op.draftId = draft?.id ?? op.draftId;
  next.op.baseVersion = draft?.version ?? op.baseVersion;
  await outbox.put(next);
}

/**
 * Stores an answer in one transaction: the results, the changes made elsewhere, and the new revision. Resolves to
 * false, and stores nothing, if the person is signing out or their data was erased meanwhile.
 */
const applyAnswer = (account, batch, erasures, { user, session, revision, results, changes: remote }) =>
  change(SYNC_STORES, async ({ people, drafts, outbox, marks }) => {
    // Store nothing about a person who has signed out meanwhile.
    const pending = (await marks.get("goodbyes"))?.value ?? [];
    const signedOut = [(await marks.get("leaving"))?.value.sessionId, ...pending, ...(await erasedSessions({ marks }))];
    if (signedOut.includes(session.id) || erasures !== (await erasureCount({ marks }, account))) return false;
    const person = await people.get(account);
    const asOf = new Date().toISOString();
    const { expiresAt, absoluteExpiresAt, deviceId, id: sessionId } = session;
    const received = [...remote.drafts, ...results.map(({ draft }) => draft).filter(Boolean)].map(({ id }) => id);
    // After a reset the server sends a complete list. A draft that is missing when the last portion has come was
    // deleted.
    const known = remote.reset ? received : person?.known && [...person.known, ...received];
    const isLast = !remote.more;
    const restored = remote.restored || (!remote.reset && person?.restored);
    await people.put({
      ...person, ...user, sessionId, deviceId, expiresAt, absoluteExpiresAt, revision, asOf,
      draftsAsOf: isLast ? asOf : person?.draftsAsOf,
      known: isLast ? undefined : known,
      restored: isLast ? undefined : restored,
    });
    await marks.delete("notBefore");
    for (const [at, entry] of batch.entries()) await applyResult(account, entry, results[at], { drafts, outbox });
    if (restored) await sendLostBack(account, batch, remote.drafts, isLast ? new Set(known) : undefined, { drafts, outbox });
    if (known && isLast) {
      const stay = new Set(known);
      for (const { id } of await drafts.all(account)) if (!stay.has(id)) await drafts.delete([account, id]);
    }
    for (const draft of remote.drafts) {
      await (draft.deleted ? drafts.delete([account, draft.id]) : drafts.put({ ...draft, account }));
    }
    return true;
  });

/**
 * After the server was restored from a backup, it may lack changes that this device has seen. Sends each draft that
 * differs there back as a `draft.keep` operation; the server decides how to keep both texts. Skips drafts with queued
 * operations, which carry a newer text anyway. `all` comes with the last portion: the ids of all drafts on the server.
 */
async function sendLostBack(account, batch, received, all, { drafts, outbox }) {
  const remoteById = new Map(received.map((draft) => [draft.id, draft]));
  const queued = (await outbox.all(account)).filter(({ state }) => state !== "aside");
  const withOperations = new Set([...batch, ...queued].map(({ op }) => op.draftId));
  for (const { id: draftId, text, version, updatedAt } of await drafts.all(account)) {
    const draft = remoteById.get(draftId);
    // The draft may come in another portion.
    const isMissing = !draft && all && !all.has(draftId);
    if (!draft && !isMissing) continue;
    if (withOperations.has(draftId) || draft?.version === version || draft?.text === text) continue;
    const op = { id: uuid(), kind: "draft.keep", at: updatedAt, draftId, text, baseVersion: version };
    await outbox.add({ account, state: "waiting", op });
  }
}

/** Kinds of operations that carry a text. */
const WITH_TEXT = ["draft.put", "draft.keep"];

async function applyResult(account, { seq, op }, result, { drafts, outbox }) {
  const entry = await outbox.get(seq);
  if (result.status === "rejected" && WITH_TEXT.includes(op.kind) && entry) {
    await setAsideOrDrop(entry, result.problem, outbox);
  } else {
    // A draft that the server does not have needs no deletion. A draft that it refused to delete is shown again.
    if (result.problem?.type === "not-found" && op.draftId) await drafts.delete([account, op.draftId]);
    await outbox.delete(seq);
  }
  const { draft } = result;
  if (draft && !draft.deleted && WITH_TEXT.includes(op.kind)) {
    await drafts.put({ ...draft, account });
    if (op.kind === "draft.put") await splitOffAside(account, seq, op, outbox);
  }
  for (const next of await outbox.all(account)) await rebase(next, op, draft, outbox);
}

/**
 * A text that was set aside before this save comes from another tab: the tab that saved would have replaced it. Makes
 * it a draft of its own, or drops it if both texts are the same.
 */
async function splitOffAside(account, seq, op, outbox) {
  for (const aside of await outbox.all(account)) {
    if (aside.seq > seq || aside.state !== "aside" || aside.op.kind !== "draft.put" || aside.op.draftId !== op.draftId) continue;
    if (aside.op.text === op.text) await outbox.delete(aside.seq);
    else await outbox.put({ ...aside, op: { ...aside.op, draftId: uuid(), baseVersion: 0 } });
  }
}

// Sends what waits in the outbox and takes what is new, one at a time in the whole browser. Pages and the worker call `flush`
// at every occasion; it looks by itself whether there is something to do, and tries again by itself.

import { exclusively } from "./exclusively.js";
import { all, change, changes, ended, erasures, get, here, read } from "./store.js";
import { isGivenUp, pauseLeft, underWay } from "./under-way.js";
import { uuid } from "./uuid.js";
import { isOver, owner } from "./whose.js";

const MOST = 200;
/** Bytes of operations in one call; the server takes 256 KiB with what stands around them. */
const LARGEST = 200 * 1024;
const SEND_TIMEOUT = 20_000;
const FIRST_DELAY = 1_000;
const LAST_DELAY = 5 * 60_000;
/** Longest that the service may ask to be left alone. */
const LONGEST_PAUSE = 60 * 60_000;
/** What another page has just done to the cookie has arrived after this. */
const SECOND_LOOK = 1_500;
const SENT_FROM = ["people", "drafts", "outbox", "marks"];
const ENDS = ["signed-out", "somebody-else"];
/** How often in a row a try may come before its time because something else has reached the service. */
const EAGER = 3;

let delay = FIRST_DELAY;
let timer;
let again = false;
let isPaused = false;
let flushing;
let eager = 0;

/**
 * What the last try came to: "saved", "offline", "away", "signed-out", "somebody-else", or "stuck" if this device keeps
 * nothing just now.
 */
export let standing = "saved";

/** Sends what waits and takes what is new, one flusher at a time in the whole browser. Never fails; tries again by itself. */
export function flush() {
  again = true;
  flushing ??= run().finally(() => { flushing = undefined; });
  return flushing;
}

async function run() {
  clearTimeout(timer);
  while (again) {
    again = false;
    const wait = await exclusively("outbox", exchange).catch(() => {
      say("stuck");
      return 0;
    });
    if (wait !== undefined) return ENDS.includes(standing) ? undefined : tryAgain(wait);
    delay = FIRST_DELAY;
    eager = 0;
  }
}

/** Something else has reached the service: what could not be sent a moment ago is not left to its own next time. */
function tryEarly({ detail }) {
  if (detail !== "ok" || !["offline", "away"].includes(standing) || eager === EAGER) return;
  eager += 1;
  flush();
}

globalThis.document?.addEventListener("service-state", tryEarly);

/** After `wait` milliseconds at least, and not at the same moment as all others. */
function tryAgain(wait) {
  // A device that is full says nothing new by being asked for ever.
  if (standing === "stuck" && delay === LAST_DELAY) return;
  const grown = isPaused ? 0 : delay * (0.5 + Math.random());
  timer = setTimeout(flush, Math.max(wait + Math.random() * FIRST_DELAY, grown));
  if (!isPaused) delay = Math.min(delay * 2, LAST_DELAY);
  later();
}

/** Lets the browser send what waits when no page is open any more. */
export function later() {
  globalThis.navigator.serviceWorker?.ready.then((known) => known.sync?.register("outbox")).catch(() => {});
}

/** Whoever shows how things stand hears how the server answered what was asked at `began`. */
function heard(status, began) {
  globalThis.document?.dispatchEvent(new CustomEvent("service-answered", { detail: { status, began } }));
}

function say(word) {
  if (standing === word) return;
  standing = word;
  const data = { standing };
  changes.postMessage?.(data);
  changes.dispatchEvent(new MessageEvent("message", { data }));
}

/** Exchanges until nothing waits; the time to wait in milliseconds if it has to be tried again. */
async function exchange() {
  const account = owner ?? (await here());
  if (!account || (await read(["marks"], isOver))) return;
  const rest = await pause();
  isPaused = rest > 0;
  if (isPaused) {
    say("away");
    return rest;
  }
  let isSecondLook = false;
  for (let most = MOST; ; ) {
    if (isGivenUp()) return;
    if (pauseLeft() > 0) return pauseLeft();
    const { batch, erased } = await begin(account, most);
    // Only a page has a use for what is new.
    if (batch.length === 0 && !globalThis.document) return;
    const answer = await send(account, batch);
    if (answer.status === 413 && batch.length > 1) {
      most = Math.ceil(batch.length / 2);
    } else if (answer.status === 401 && answer.said?.reason === "unknown" && !isSecondLook) {
      isSecondLook = true;
      await new Promise((done) => { setTimeout(done, SECOND_LOOK); });
    } else if (answer.isGivenUp) {
      // It says nothing of the service.
    } else if (!answer.isTaken) {
      return refused(answer, batch);
    } else {
      heard(answer.status, answer.began);
      // Somebody is leaving, or has left. Who has, has nothing that waits.
      if (!(await take(account, batch, erased, answer.said))) return (await read(["marks"], isOver)) ? undefined : 0;
      say("saved");
      // What is new comes in portions.
      if (answer.said.changes.more) continue;
      if (!(await all("outbox", account)).some(({ state }) => state !== "aside")) return;
    }
  }
}

/** How long the service wants to be left alone. A clock that was put back makes that no longer than it may ask for. */
async function pause() {
  const rest = ((await get("marks", "notBefore"))?.value ?? 0) - Date.now();
  return rest <= LONGEST_PAUSE ? rest : 0;
}

/** Marks what is sent now; from then on it does not change. What was on its way before goes first, as it was. */
const begin = (account, most) => change(SENT_FROM, async ({ outbox, marks }) => {
  const [batch, erased] = [[], await erasures({ marks }, account)];
  const drafts = new Set();
  let bytes = 0;
  for (const entry of await outbox.all(account)) {
    const { op, state } = entry;
    if (state === "aside" || drafts.has(op.draftId)) continue;
    if (op.draftId) drafts.add(op.draftId);
    bytes += new Blob([JSON.stringify(op)]).size + 1;
    if (batch.length === most || (bytes > LARGEST && batch.length > 0)) break;
    entry.state = "sent";
    await outbox.put(entry);
    batch.push(entry);
  }
  return { batch, erased };
});

/** Sends a batch: the status of the answer, or 0, and what it says if it is the service that speaks. */
async function send(account, batch) {
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
    const answer = await fetch("/api/session/sync", { method: "POST", headers, body, cache: "no-store", redirect: "manual", signal: underWay(SEND_TIMEOUT) });
    const type = answer.headers.get("Content-Type") ?? "";
    const isOurs = type.startsWith(answer.ok ? "application/json" : "application/problem+json");
    const said = isOurs ? await answer.json() : undefined;
    return { status: answer.status, said, isTaken: answer.ok && isAnswer(said, account, batch), wait: waitOf(answer.headers), began };
  } catch {
    return { status: 0, wait: 0, began, isGivenUp: pauseLeft() > 0 };
  }
}

/** Whether this answers what was asked: a network that wants a sign-in of its own says 200, too. */
const isAnswer = (said, account, batch) =>
  said?.user?.id === account && Boolean(said.session?.id) && said.results?.length === batch.length && Array.isArray(said.changes?.drafts);

/** What `Retry-After` asks for, in milliseconds: seconds, or a moment by the clock of whoever says so (RFC 9110, 10.2.3). */
function waitOf(headers) {
  const asked = headers.get("Retry-After");
  if (!asked) return 0;
  const now = Date.parse(headers.get("Date") ?? "") || Date.now();
  const wait = /^\d+$/.test(asked.trim()) ? 1_000 * Number(asked) : Date.parse(asked) - now;
  return Math.min(Math.max(wait || 0, 0), LONGEST_PAUSE);
}

/** The queue stays as it is. */
async function refused({ status, said, wait, began }, batch) {
  const isOurs = said !== undefined && status >= 400;
  const isReached = isOurs || status >= 500 || status === 413;
  heard(isReached ? status : 0, began);
  if (wait > 0) await change("marks", ({ marks }) => marks.put({ name: "notBefore", value: Date.now() + wait }));
  if (isOurs && status === 401) {
    say("signed-out");
  } else if (isOurs && status === 409) {
    say("somebody-else");
  } else if (isOurs && (status === 400 || status === 413) && batch.length > 0) {
    // No call can be made of it: what waits behind it must not wait for ever.
    await setAside(batch, said);
    again = true;
    return;
  } else {
    say(isReached ? "away" : "offline");
  }
  return wait;
}

// --- what comes of it

const setAside = (batch, problem) => change(SENT_FROM, async ({ outbox }) => {
  for (const entry of batch) {
    await refuse(entry, problem, outbox);
    for (const next of await outbox.all(entry.account)) await goOn(next, entry.op, undefined, outbox);
  }
});

/** Keeps what was refused, to be shown, unless what waits behind it was written on it. */
async function refuse(entry, problem, outbox) {
  const isReplaced = (await outbox.all(entry.account)).some((next) => isBehind(next, entry.op));
  // From then on it is a text like any other.
  const op = entry.op.kind === "draft.keep" ? { ...entry.op, kind: "draft.put" } : entry.op;
  await (isReplaced ? outbox.delete(entry.seq) : outbox.put({ ...entry, op, state: "aside", problem }));
}

const isBehind = (next, op) => next.op.draftId === op.draftId && next.op.baseVersion === null;

/** What waits behind an operation builds on its answer; after a conflict, in the draft that keeps it. */
async function goOn(next, op, draft, outbox) {
  if (!isBehind(next, op)) return;
  next.op.draftId = draft?.id ?? op.draftId;
  next.op.baseVersion = draft?.version ?? op.baseVersion;
  await outbox.put(next);
}

/** Takes an answer, all of it or nothing: the results, what changed elsewhere, and how far that goes. */
const take = (account, batch, erased, { user, session, revision, results, changes: news }) =>
  change(SENT_FROM, async ({ people, drafts, outbox, marks }) => {
    // Who has left meanwhile is not remembered again.
    const goodbyes = (await marks.get("goodbyes"))?.value ?? [];
    const left = [(await marks.get("leaving"))?.value.sessionId, ...goodbyes, ...(await ended({ marks }))];
    if (left.includes(session.id) || erased !== (await erasures({ marks }, account))) return false;
    const person = await people.get(account);
    const asOf = new Date().toISOString();
    const { expiresAt, absoluteExpiresAt, deviceId, id: sessionId } = session;
    const told = [...news.drafts, ...results.map(({ draft }) => draft).filter(Boolean)].map(({ id }) => id);
    // Whatever is not told until the last portion of a new beginning is gone.
    const known = news.reset ? told : person?.known && [...person.known, ...told];
    const isLast = !news.more;
    const restored = news.restored || (!news.reset && person?.restored);
    await people.put({
      ...person, ...user, sessionId, deviceId, expiresAt, absoluteExpiresAt, revision, asOf,
      draftsAsOf: isLast ? asOf : person?.draftsAsOf,
      known: isLast ? undefined : known,
      restored: isLast ? undefined : restored,
    });
    await marks.delete("notBefore");
    for (const [at, entry] of batch.entries()) await settleOne(account, entry, results[at], { drafts, outbox });
    if (restored) await keepLost(account, batch, news.drafts, isLast ? new Set(known) : undefined, { drafts, outbox });
    if (known && isLast) {
      const stay = new Set(known);
      for (const { id } of await drafts.all(account)) if (!stay.has(id)) await drafts.delete([account, id]);
    }
    for (const draft of news.drafts) {
      await (draft.deleted ? drafts.delete([account, draft.id]) : drafts.put({ ...draft, account }));
    }
    return true;
  });

/**
 * The server has lost changes that this device has seen, or may have. What it does not have as it is here goes back to it, and it
 * sees to it that nothing is lost. What was written on since goes there anyway. `all`: with the last portion, the ids of all.
 */
async function keepLost(account, batch, there, all, { drafts, outbox }) {
  const known = new Map(there.map((draft) => [draft.id, draft]));
  const queued = (await outbox.all(account)).filter(({ state }) => state !== "aside");
  const onTheWay = new Set([...batch, ...queued].map(({ op }) => op.draftId));
  for (const { id: draftId, text, version, ancestors, updatedAt } of await drafts.all(account)) {
    const draft = known.get(draftId);
    // What is told in another portion is looked at with that.
    const isMissing = !draft && all && !all.has(draftId);
    if (!draft && !isMissing) continue;
    if (onTheWay.has(draftId) || draft?.version === version || draft?.text === text) continue;
    const op = { id: uuid(), kind: "draft.keep", at: updatedAt, draftId, text, baseVersion: version, ancestors };
    await outbox.add({ account, state: "waiting", op });
  }
}

/** Kinds of operations that have a text. */
const HAVE_TEXT = ["draft.put", "draft.keep"];

async function settleOne(account, { seq, op }, result, { drafts, outbox }) {
  const own = await outbox.get(seq);
  if (result.status === "rejected" && HAVE_TEXT.includes(op.kind) && own) {
    await refuse(own, result.problem, outbox);
  } else {
    // What is not there needs no deleting; what could not be deleted is there to be seen.
    if (result.problem?.type === "not-found" && op.draftId) await drafts.delete([account, op.draftId]);
    await outbox.delete(seq);
  }
  const { draft } = result;
  if (draft && !draft.deleted && HAVE_TEXT.includes(op.kind)) {
    await drafts.put({ ...draft, account });
    if (op.kind === "draft.put") await part(account, seq, op, outbox);
  }
  for (const next of await outbox.all(account)) await goOn(next, op, draft, outbox);
}

/** What was set aside before a draft was saved is not what it says any more: another tab wrote it. It is a draft of its own. */
async function part(account, seq, op, outbox) {
  for (const aside of await outbox.all(account)) {
    if (aside.seq > seq || aside.state !== "aside" || aside.op.kind !== "draft.put" || aside.op.draftId !== op.draftId) continue;
    if (aside.op.text === op.text) await outbox.delete(aside.seq);
    else await outbox.put({ ...aside, op: { ...aside.op, draftId: uuid(), baseVersion: 0 } });
  }
}

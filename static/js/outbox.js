// What was written on this device and is not on the server yet. Each change is an operation that is kept until the server has
// answered it; sent again, it has no second effect. Used by the drafts page, the offline page and the worker.
//
// Of each draft at most one operation is on its way, and at most one waits behind it: writing goes on in the one that waits.
// What is on its way is never changed, since the server knows it by its id and its whole body. The answer says which version,
// or after a conflict which draft, the one that waits builds on.

import { all, change, changes, erasures, get, here, read } from "./store.js";

const MOST = 200;
/** Bytes of operations in one call; the server takes 256 KiB with what stands around them. */
const LARGEST = 200 * 1024;
const TIMEOUT = 20_000;
const FIRST_DELAY = 1_000;
const LAST_DELAY = 5 * 60_000;
const STORES = ["people", "drafts", "outbox", "marks"];

/** Text as the server keeps it: without U+0000, and with no half of a surrogate pair. */
export const clean = (text) => text.replaceAll("\0", "").toWellFormed?.() ?? text.replaceAll("\0", "");

/** Characters as the server counts them. */
export const count = (text) => [...text].length;

// --- writing

/** Whose page this is, else it is who was signed in here, and what had been erased when it began. */
let owner;
let began;

/** Begins for an account. The server refuses what is sent as somebody else. */
export async function serve(account) {
  owner = account;
  began ??= await read(["marks"], erasures);
}

/** Whether the data of this page's person was erased since: then nothing of them is put away again. */
export const isOver = async (stores) => began !== undefined && (await erasures(stores)) !== began;

/** Changes what waits, as long as the person is not gone. */
const onBehalf = (work) =>
  change(STORES, async (stores) => {
    if (await isOver(stores)) throw new Error("whoever writes has signed out");
    return work(stores);
  });

/** Keeps what a draft says now. `base` is what was written on: its text, and the version in which it was shown, 0 for a new one. */
export async function write(account, draftId, text, base) {
  await onBehalf(async ({ drafts, outbox }) => {
    const own = (await outbox.all(account)).filter(({ op }) => op.draftId === draftId);
    // The writing goes on in what was set aside, too.
    for (const { op, state, seq } of own) if (state === "aside" && op.text === base.text) await outbox.delete(seq);
    const ahead = own.filter(({ state }) => state !== "aside");
    // Only in what was written on: another tab may have written in the same draft.
    const mine = ahead.findLast(({ op }) => op.kind === "draft.put" && op.text === base.text);
    if (mine?.state === "waiting") {
      mine.op.text = text;
      await outbox.put(mine);
      return;
    }
    const stored = await drafts.get([account, draftId]);
    // What was kept before may have been answered meanwhile, under a new version.
    const version = stored?.text === base.text ? stored.version : base.version;
    const isBehind = mine || ahead.some(({ op }) => op.kind === "draft.delete");
    await outbox.add(operation(account, "draft.put", { draftId, text, baseVersion: isBehind ? null : version }));
  });
}

/** Deletes a draft. What waits of it need not be sent any more; what it built on is what was seen, and is meant. */
export async function remove(account, draftId, base) {
  await onBehalf(async ({ outbox }) => {
    const own = (await outbox.all(account)).filter(({ op }) => op.draftId === draftId);
    for (const one of own) if (one.state !== "sent") await outbox.delete(one.seq);
    const sent = own.some(({ state }) => state === "sent");
    const waiting = own.find(({ state }) => state === "waiting");
    const version = sent ? null : (waiting?.op.baseVersion ?? base?.version ?? 0);
    if (version !== 0) await outbox.add(operation(account, "draft.delete", { draftId, baseVersion: version }));
  });
}

/** Tries an operation again that was set aside, as a new one. */
export async function retry(account, seq) {
  await onBehalf(async ({ drafts, outbox }) => {
    const aside = await outbox.get(seq);
    if (aside?.account !== account) return;
    const stored = await drafts.get([account, aside.op.draftId]);
    const baseVersion = aside.op.baseVersion ?? stored?.version ?? 0;
    await outbox.delete(seq);
    await outbox.add({ account, state: "waiting", op: { ...aside.op, baseVersion, id: crypto.randomUUID() } });
  });
}

/** Gives up an operation that was set aside. */
export const discard = (seq) => change(STORES, ({ outbox }) => outbox.delete(seq));

const operation = (account, kind, fields) => ({
  account,
  state: "waiting",
  op: { id: crypto.randomUUID(), kind, at: new Date().toISOString(), ...fields },
});

// --- reading

/** The account's drafts as this device has them, newest first: each with the text as it stands here. */
export async function drafts(account) {
  const [kept, outbox] = await read(["drafts", "outbox"], async (stores) => [await stores.drafts.all(account), await stores.outbox.all(account)]);
  const byId = new Map(kept.map((draft) => [draft.id, draft]));
  for (const { seq, op, state, problem } of outbox) {
    if (op.kind === "draft.put") {
      const draft = byId.get(op.draftId) ?? { id: op.draftId, version: 0 };
      const news = state === "aside" ? { aside: { seq, problem, text: op.text } } : { waiting: true, text: op.text, updatedAt: op.at, updatedOn: null };
      byId.set(op.draftId, { text: op.text, updatedAt: op.at, ...draft, ...news });
    } else if (op.kind === "draft.delete" && state !== "aside") {
      byId.delete(op.draftId);
    }
  }
  return [...byId.values()].sort((one, other) => (other.updatedAt ?? "").localeCompare(one.updatedAt ?? "") || one.id.localeCompare(other.id));
}

// --- sending

let delay = FIRST_DELAY;
let timer;
let again = false;
let flushing;

/** What the last try came to: "saved", "offline", "away", "signed-out" or "somebody-else". */
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
    let wait;
    try {
      wait = await exclusively(exchange);
      if (wait === undefined) delay = FIRST_DELAY;
    } catch {
      say("offline");
      heard(0);
      wait = 0;
    }
    if (wait === undefined) continue;
    if (standing === "signed-out" || standing === "somebody-else") return;
    timer = setTimeout(flush, Math.max(wait, delay * (0.5 + Math.random())));
    delay = Math.min(delay * 2, LAST_DELAY);
    later();
    return;
  }
}

/** The browser may send it when no page is open any more. */
function later() {
  globalThis.navigator.serviceWorker?.ready.then((known) => known.sync?.register("outbox")).catch(() => {});
}

/** Whoever shows how things stand hears how the server answers. */
function heard(status) {
  globalThis.document?.dispatchEvent(new CustomEvent("service-answered", { detail: { status } }));
}

const exclusively = (work) => (navigator.locks ? navigator.locks.request("sessile-outbox", work) : work());

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
  if (!account) return;
  for (let most = MOST; ; ) {
    const { batch, erased } = await begin(account, most);
    const answer = await send(account, batch);
    heard(answer.status);
    if (answer.status === 413 && batch.length > 1) {
      most = Math.ceil(batch.length / 2);
      continue;
    }
    if (!answer.ok) return refused(answer, batch);
    if (!(await take(account, batch, erased, await answer.json()))) return;
    say("saved");
    if (!(await all("outbox", account)).some(({ state }) => state !== "aside")) return;
  }
}

/** Marks what is sent now; from then on it does not change. What was on its way before goes first, as it was. */
const begin = (account, most) => change(STORES, async ({ outbox, marks }) => {
  const [batch, erased] = [[], await erasures({ marks })];
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

async function send(account, batch) {
  const person = await get("people", account);
  const installed = typeof matchMedia === "function" && matchMedia("(display-mode: standalone)").matches;
  const headers = { "Content-Type": "application/json" };
  if (batch.length === 0) headers["X-Unattended"] = "1";
  return fetch("/api/session/sync", {
    method: "POST",
    headers,
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT),
    body: JSON.stringify({
      device: typeof matchMedia === "function" ? { installed } : undefined,
      lastKnown: { userId: account, revision: person?.revision },
      operations: batch.map(({ op }) => op),
    }),
  });
}

/** The queue stays as it is. */
async function refused(answer, batch) {
  const problem = answer.headers.get("Content-Type")?.startsWith("application/problem+json") ? await answer.json() : undefined;
  if (answer.status === 401 && problem) {
    say("signed-out");
  } else if (answer.status === 409 && problem) {
    say("somebody-else");
  } else if (problem && (answer.status === 400 || answer.status === 413) && batch.length > 0) {
    // No call can be made of it: what waits behind it must not wait for ever.
    await setAside(batch, problem);
    again = true;
    return;
  } else {
    say("away");
  }
  return 1_000 * (Number(answer.headers.get("Retry-After")) || 0);
}

const setAside = (batch, problem) => change(STORES, async ({ outbox }) => {
  for (const entry of batch) {
    await outbox.put({ ...entry, state: "aside", problem });
    for (const next of await outbox.all(entry.account)) await goOn(next, entry.op, undefined, outbox);
  }
});

/** What waits behind an operation builds on its answer; after a conflict, in the draft that keeps it. */
async function goOn(next, op, draft, outbox) {
  if (next.op.draftId !== op.draftId || next.state !== "waiting" || next.op.baseVersion !== null) return;
  next.op.draftId = draft?.id ?? op.draftId;
  next.op.baseVersion = draft?.version ?? op.baseVersion;
  await outbox.put(next);
}

/** Takes an answer, all of it or nothing: the results, what changed elsewhere, and how far that goes. */
const take = (account, batch, erased, { user, session, revision, results, changes: news }) =>
  change(STORES, async ({ people, drafts, outbox, marks }) => {
    // Who has left meanwhile is not remembered again.
    const left = [(await marks.get("leaving"))?.value.sessionId, ...((await marks.get("goodbyes"))?.value ?? [])];
    if (left.includes(session.id) || erased !== (await erasures({ marks }))) return false;
    const person = await people.get(account);
    const { expiresAt, absoluteExpiresAt, deviceId, id: sessionId } = session;
    await people.put({ ...person, ...user, sessionId, deviceId, expiresAt, absoluteExpiresAt, revision, asOf: new Date().toISOString() });
    for (const [at, entry] of batch.entries()) await settle(account, entry, results[at], { drafts, outbox });
    if (news.reset) {
      const stay = new Set(news.drafts.map(({ id }) => id));
      for (const { id } of await drafts.all(account)) if (!stay.has(id)) await drafts.delete([account, id]);
    }
    for (const draft of news.drafts) {
      await (draft.deleted ? drafts.delete([account, draft.id]) : drafts.put({ ...draft, account }));
    }
    return true;
  });

async function settle(account, { seq, op }, result, { drafts, outbox }) {
  const own = await outbox.get(seq);
  if (result.status === "rejected" && op.kind === "draft.put" && own) {
    await outbox.put({ ...own, state: "aside", problem: result.problem });
  } else {
    // What is not there needs no deleting; what could not be deleted is there to be seen.
    if (result.problem?.type === "not-found" && op.draftId) await drafts.delete([account, op.draftId]);
    await outbox.delete(seq);
  }
  const { draft } = result;
  if (draft && !draft.deleted && op.kind === "draft.put") await drafts.put({ ...draft, account });
  for (const next of await outbox.all(account)) await goOn(next, op, draft, outbox);
}

// What was written on this device and is not on the server yet. Each change is an operation that is kept until the server has
// answered it; sent again, it has no second effect. How it is sent is sending.js. Used by the drafts page, the offline page and
// the worker.
//
// Of each draft at most one operation is on its way, and at most one waits behind it: writing goes on in the one that waits.
// What is on its way is never changed, since the server knows it by its id and its whole body. The answer says which version,
// or after a conflict which draft, the one that waits builds on. What the server refuses, and what is too long for it, is set
// aside: kept and shown until it is written on, tried again or given up.

import { change, read } from "./store.js";
import { uuid } from "./uuid.js";
import { isOver } from "./whose.js";

export { flush, later, standing } from "./sending.js";
export { isOver, serve } from "./whose.js";

const WRITTEN_TO = ["people", "drafts", "outbox", "marks"];

/** Characters in a draft. */
export const LONGEST = 10_000;
const TOO_LONG = { type: "too-long" };

/** Text as the server keeps it: without U+0000, and with no half of a surrogate pair. */
export const clean = (text) => text.replaceAll("\0", "").replace(/\p{Surrogate}/gu, "\ufffd");

/** Characters as the server counts them. */
export const count = (text) => [...text].length;

// --- writing

/** Changes what waits, as long as the person is not gone. Who writes has stayed, whatever they had begun. */
const onBehalf = (work) =>
  change(WRITTEN_TO, async (stores) => {
    if (await isOver(stores)) throw new Error("whoever writes has signed out");
    await stores.marks.delete("leaving");
    return work(stores);
  });

/** Keeps what a draft says now. `base` is what was written on: its text, and the version in which it was shown, 0 for a new one. */
export async function write(account, draftId, text, base) {
  const isTooLong = count(text) > LONGEST;
  await onBehalf(async ({ drafts, outbox }) => {
    const own = (await outbox.all(account)).filter(({ op }) => op.draftId === draftId);
    // The writing goes on in what was set aside, too.
    const replaced = own.filter(({ op, state }) => state === "aside" && op.kind === "draft.put" && op.text === base.text);
    for (const { seq } of replaced) await outbox.delete(seq);
    const ahead = own.filter(({ state }) => state !== "aside");
    // Only in what was written on: another tab may have written in the same draft.
    const mine = ahead.findLast(({ op }) => op.kind === "draft.put" && op.text === base.text);
    if (mine?.state === "waiting" && !isTooLong) {
      mine.op.text = text;
      await outbox.put(mine);
      return;
    }
    const stored = await drafts.get([account, draftId]);
    // What was kept before may have been answered meanwhile, under a new version.
    const version = stored?.text === base.text ? stored.version : base.version;
    // What is kept from a lost history is sent as it is: the writing waits for what becomes of it.
    const isOfLost = ahead.some(({ op }) => op.kind === "draft.keep" && op.text === base.text);
    const isBehind = mine || isOfLost || ahead.some(({ op }) => op.kind === "draft.delete");
    const baseVersion = isBehind ? null : replaced.length > 0 ? replaced.at(-1).op.baseVersion : version;
    const entry = operation(account, "draft.put", { draftId, text, baseVersion });
    await outbox.add(isTooLong ? { ...entry, state: "aside", problem: TOO_LONG } : entry);
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
    await outbox.add({ account, state: "waiting", op: { ...aside.op, baseVersion, id: uuid() } });
  });
}

/** Gives up an operation that was set aside. */
export const discard = (seq) => change(WRITTEN_TO, ({ outbox }) => outbox.delete(seq));

const operation = (account, kind, fields) => ({
  account,
  state: "waiting",
  op: { id: uuid(), kind, at: new Date().toISOString(), ...fields },
});

// --- reading

/** The account's drafts as this device has them, newest first: each with the text as it stands here. */
export async function drafts(account) {
  const [kept, outbox] = await read(["drafts", "outbox"], async (stores) => [await stores.drafts.all(account), await stores.outbox.all(account)]);
  const byId = new Map(kept.map((draft) => [draft.id, draft]));
  for (const { seq, op, state, problem } of outbox) {
    if (op.kind === "draft.put") {
      const draft = byId.get(op.draftId) ?? { id: op.draftId, version: 0 };
      const news = state === "aside" ? { aside: { seq, problem, text: op.text, baseVersion: op.baseVersion } } : waitingFor(op);
      byId.set(op.draftId, { text: op.text, updatedAt: op.at, ...draft, ...news });
    } else if (op.kind === "draft.keep") {
      if (!byId.has(op.draftId)) byId.set(op.draftId, { id: op.draftId, version: op.baseVersion, ...waitingFor(op) });
    } else if (op.kind === "draft.delete" && state !== "aside") {
      byId.delete(op.draftId);
    }
  }
  return [...byId.values()].sort((one, other) => (other.updatedAt ?? "").localeCompare(one.updatedAt ?? "") || one.id.localeCompare(other.id));
}

// What was written after something was set aside is what is shown.
const waitingFor = ({ text, at }) => ({ waiting: true, text, updatedAt: at, updatedOn: null, aside: undefined });

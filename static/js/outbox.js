// Changes made on this device that the server does not have yet. Each change is an operation, stored until the server
// has answered it. Sending an operation again has no second effect. outbox-sync.js sends them. Used by the drafts page,
// the offline page and the worker.
//
// Each draft has at most one operation in flight (`sent`) and at most one behind it (`waiting`); further writing
// changes the waiting operation. An operation in flight never changes, because the server recognizes it by its id and
// its whole body. Its answer says on which version, or after a conflict on which draft, the waiting operation builds.
// An operation that the server rejects, or that is too long, is set aside (`aside`): stored and shown until the person
// continues writing, tries again or discards it.

import { change, read } from "./store.js";
import { uuid } from "./uuid.js";
import { isSignedOutHere } from "./page-owner.js";

export { flush, requestBackgroundSync, standing } from "./outbox-sync.js";
export { isSignedOutHere, serve } from "./page-owner.js";

const WRITE_STORES = ["people", "drafts", "outbox", "marks"];

/** The largest number of characters in a draft. */
export const LONGEST = 10_000;
const TOO_LONG = { type: "too-long" };

/** The text as the server stores it: without U+0000, and with U+FFFD for each unpaired surrogate. */
export const clean = (text) => text.replaceAll("\0", "").replace(/\p{Surrogate}/gu, "\ufffd");

/** The number of characters as the server counts them: Unicode code points. */
export const count = (text) => [...text].length;

// --- writing

/** Changes the outbox unless the person has signed out. Writing cancels a sign-out that is in progress. */
const changeUnlessSignedOut = (work) =>
  change(WRITE_STORES, async (stores) => {
    if (await isSignedOutHere(stores)) throw new Error("the account has signed out on this device");
    await stores.marks.delete("leaving");
    return work(stores);
  });

/**
 * Stores the text of a draft and queues an operation for it. `base` is the text and version that the person edited;
 * version 0 means a new draft.
 */
export async function write(account, draftId, text, base) {
  const isTooLong = count(text) > LONGEST;
  await changeUnlessSignedOut(async ({ drafts, outbox }) => {
    const ofDraft = (await outbox.all(account)).filter(({ op }) => op.draftId === draftId);
    // Text that was set aside and is now edited is replaced by the new text.
    const replaced = ofDraft.filter(({ op, state }) => state === "aside" && op.kind === "draft.put" && op.text === base.text);
    for (const { seq } of replaced) await outbox.delete(seq);
    const queued = ofDraft.filter(({ state }) => state !== "aside");
    // Change an operation only if this text was edited from it: another tab may have written in the same draft.
    const previous = queued.findLast(({ op }) => op.kind === "draft.put" && op.text === base.text);
    if (previous?.state === "waiting" && !isTooLong) {
      previous.op.text = text;
      await outbox.put(previous);
      return;
    }
    const stored = await drafts.get([account, draftId]);
    // The server may have answered the earlier text meanwhile, with a new version.
    const version = stored?.text === base.text ? stored.version : base.version;
    // A `draft.keep` operation is sent unchanged, so the new text waits behind it.
    const isRestored = queued.some(({ op }) => op.kind === "draft.keep" && op.text === base.text);
    const isBehind = previous || isRestored || queued.some(({ op }) => op.kind === "draft.delete");
    const baseVersion = isBehind ? null : replaced.length > 0 ? replaced.at(-1).op.baseVersion : version;
    const entry = operation(account, "draft.put", { draftId, text, baseVersion });
    await outbox.add(isTooLong ? { ...entry, state: "aside", problem: TOO_LONG } : entry);
  });
}

/**
 * Queues the deletion of a draft and drops its unsent operations. The deletion builds on the version that the person
 * saw.
 */
export async function remove(account, draftId, base) {
  await changeUnlessSignedOut(async ({ outbox }) => {
    const ofDraft = (await outbox.all(account)).filter(({ op }) => op.draftId === draftId);
    for (const entry of ofDraft) if (entry.state !== "sent") await outbox.delete(entry.seq);
    const sent = ofDraft.some(({ state }) => state === "sent");
    const waiting = ofDraft.find(({ state }) => state === "waiting");
    const version = sent ? null : (waiting?.op.baseVersion ?? base?.version ?? 0);
    if (version !== 0) await outbox.add(operation(account, "draft.delete", { draftId, baseVersion: version }));
  });
}

/** Queues a set-aside operation again, with a new id. */
export async function retry(account, seq) {
  await changeUnlessSignedOut(async ({ drafts, outbox }) => {
    const aside = await outbox.get(seq);
    if (aside?.account !== account) return;
    const stored = await drafts.get([account, aside.op.draftId]);
    const baseVersion = aside.op.baseVersion ?? stored?.version ?? 0;
    await outbox.delete(seq);
    await outbox.add({ account, state: "waiting", op: { ...aside.op, baseVersion, id: uuid() } });
  });
}

/** Discards a set-aside operation. */
export const discard = (seq) => change(WRITE_STORES, ({ outbox }) => outbox.delete(seq));

const operation = (account, kind, fields) => ({
  account,
  state: "waiting",
  op: { id: uuid(), kind, at: new Date().toISOString(), ...fields },
});

// --- reading

/** The account's drafts as this device has them, newest first, with unsent changes applied. */
export async function drafts(account) {
  const [stored, outbox] = await read(["drafts", "outbox"], async (stores) => [await stores.drafts.all(account), await stores.outbox.all(account)]);
  const byId = new Map(stored.map((draft) => [draft.id, draft]));
  for (const { seq, op, state, problem } of outbox) {
    if (op.kind === "draft.put") {
      const draft = byId.get(op.draftId) ?? { id: op.draftId, version: 0 };
      const local = state === "aside" ? { aside: { seq, problem, text: op.text, baseVersion: op.baseVersion } } : asWaiting(op);
      byId.set(op.draftId, { text: op.text, updatedAt: op.at, ...draft, ...local });
    } else if (op.kind === "draft.keep") {
      if (!byId.has(op.draftId)) byId.set(op.draftId, { id: op.draftId, version: op.baseVersion, ...asWaiting(op) });
    } else if (op.kind === "draft.delete" && state !== "aside") {
      byId.delete(op.draftId);
    }
  }
  return [...byId.values()].sort((a, b) => (b.updatedAt ?? "").localeCompare(a.updatedAt ?? "") || a.id.localeCompare(b.id));
}

// Newer text hides text that was set aside before it.
const asWaiting = ({ text, at }) => ({ waiting: true, text, updatedAt: at, updatedOn: null, aside: undefined });

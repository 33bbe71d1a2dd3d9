// What this browser keeps of the people who sign in here: IndexedDB `sessile`, by account. Pages and the worker share it.
//   people  { id, name, email, sessionId, deviceId, expiresAt, absoluteExpiresAt, asOf, ahead, devices, devicesAsOf, revision,
//             draftsAsOf, known? }; `ahead`: by how many milliseconds the server's clock is ahead of this device's;
//             `known`: ids of drafts, while a list that replaces all others arrives in portions
//   drafts  { account, id, text, version, updatedAt, updatedOn, conflictOf?, deleted? }
//   outbox  { seq, account, op, state: "waiting" | "sent" | "aside", problem? }, in the order in which it was done
//   marks   { name: "here", value: account }, { name: "goodbyes", value: [session id] },
//           { name: "leaving", value: { account, sessionId, at } } while a sign-out is on its way,
//           { name: "builds", value: { now, before } } for the worker,
//           { name: "erasures", value: { account: how often its data was erased here } }, { name: "ended", value: [session id] },
//           { name: "notBefore", value: the moment before which the service wants to hear nothing },
//           { name: "lease …", value: { by, until } } for work that one page does at a time, where the browser has no locks
// Nothing of it leaves the device but what the outbox sends, as the person who wrote it.

const NAME = "sessile";
const VERSION = 1;
const STORES = ["people", "drafts", "outbox", "marks"];

/** Told after each change, in this page too: `{ stores: [name] }`. */
export const changes = "BroadcastChannel" in globalThis ? new BroadcastChannel("sessile-store") : new EventTarget();

function tell(stores) {
  const data = { stores };
  changes.postMessage?.(data);
  // A channel does not speak to who posts.
  changes.dispatchEvent(new MessageEvent("message", { data }));
}

let opened = null;

/** The database, made if it is not there. Rejects where the browser keeps nothing. */
export function open() {
  opened ??= new Promise((done, failed) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => make(request.result);
    request.onsuccess = () => done(watched(request.result));
    request.onerror = () => failed(request.error);
  }).catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

function make(database) {
  database.createObjectStore("people", { keyPath: "id" });
  database.createObjectStore("drafts", { keyPath: ["account", "id"] });
  database.createObjectStore("outbox", { keyPath: "seq", autoIncrement: true }).createIndex("account", "account");
  database.createObjectStore("marks", { keyPath: "name" });
}

/** A newer page may change the database, and the browser may take it away: the next use opens it again. */
function watched(database) {
  database.onversionchange = () => {
    database.close();
    opened = null;
  };
  database.onclose = () => { opened = null; };
  return database;
}

const answer = (request) =>
  new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });

/** A store of a transaction, its requests as promises. */
const speaking = (store) => ({
  get: (key) => answer(store.get(key)),
  put: (row) => answer(store.put(row)),
  add: (row) => answer(store.add(row)),
  delete: (key) => answer(store.delete(key)),
  all: (account) => answer(rows(store, account)),
});

function rows(store, account) {
  if (account === undefined) return store.getAll();
  if (store.name === "outbox") return store.index("account").getAll(account);
  return store.getAll(store.name === "drafts" ? IDBKeyRange.bound([account], [account, []]) : account);
}

/** Runs `work({ name: store })` in one transaction, which is done when this is; it may wait for nothing but the stores. */
async function transact(names, mode, work) {
  const database = await open();
  const transaction = database.transaction(names, mode, { durability: "strict" });
  const finished = new Promise((done, failed) => {
    transaction.oncomplete = done;
    transaction.onabort = () => failed(transaction.error ?? new Error("what was to be kept was not kept"));
  });
  // Whoever waits for the work hears of it there.
  finished.catch(() => {});
  const stores = Object.fromEntries(names.map((name) => [name, speaking(transaction.objectStore(name))]));
  try {
    const result = await work(stores);
    await finished;
    return result;
  } catch (error) {
    try {
      transaction.abort();
    } catch {
      // It is over already.
    }
    throw error;
  }
}

/** Runs `work` over `stores` (names) as they stand at one moment. */
export const read = (stores, work) => transact(stores, "readonly", work);

/** One row, or undefined. */
export const get = (store, key) => transact([store], "readonly", (stores) => stores[store].get(key));

/** All rows, or those of an account, in the order of their keys. */
export const all = (store, account) => transact([store], "readonly", (stores) => stores[store].all(account));

/** Runs `work({ drafts, outbox, … })` over `stores` (names) in one transaction: all of it happens, or nothing. */
export async function change(stores, work) {
  const names = [stores].flat();
  const result = await transact(names, "readwrite", work);
  tell(names);
  return result;
}

/** Whose data pages here may show: an account's id, or null. */
export const here = async () => (await get("marks", "here"))?.value ?? null;

/** Nobody's takes no room: it has to work on a device that is full. */
export const setHere = (account) =>
  change("marks", ({ marks }) => (account ? marks.put({ name: "here", value: account }) : marks.delete("here")));

/** Removes everything of an account, what it has not sent too, even where there is no room left to write anything. */
export const forget = (account) =>
  change(STORES, (stores) => erase(stores, account)).catch(() => change(STORES, (stores) => empty(stores, account)));

async function empty({ people, drafts, outbox, marks }, account) {
  await people.delete(account);
  for (const draft of await drafts.all(account)) await drafts.delete([account, draft.id]);
  for (const { seq } of await outbox.all(account)) await outbox.delete(seq);
  if ((await marks.get("here"))?.value === account) await marks.delete("here");
}

async function erase(stores, account) {
  const { people, marks } = stores;
  const { dataset } = globalThis.document?.documentElement ?? { dataset: {} };
  const sessions = [(await people.get(account))?.sessionId, dataset.account === account ? dataset.session : undefined];
  await empty(stores, account);
  try {
    const counts = (await marks.get("erasures"))?.value;
    await marks.put({ name: "erasures", value: { ...counts, [account]: (await erasures({ marks }, account)) + 1 } });
    await noteEnded({ marks }, sessions.filter(Boolean));
  } catch {
    // What is erased is erased. Where there is no room for a mark, nothing of it can be put away again either.
  }
}

/** How often an account's data was erased. What was asked for or begun before then is not kept after it. */
export const erasures = async ({ marks }, account) => (await marks.get("erasures"))?.value[account] ?? 0;

/** The last sessions whose data was erased here: a page of one of them keeps nothing any more, whenever it began. */
export const ended = async ({ marks }) => (await marks.get("ended"))?.value ?? [];

async function noteEnded({ marks }, sessions) {
  const known = (await ended({ marks })).filter((each) => !sessions.includes(each));
  await marks.put({ name: "ended", value: [...known, ...sessions].slice(-20) });
}

/** Signs out here and now, without the network: forgets whose sessions they are, and remembers that they are to end. */
export async function leave(sessionIds, account) {
  const known = (await all("people")).filter(({ sessionId }) => sessionIds.includes(sessionId));
  const accounts = new Set([account, ...known.map(({ id }) => id)].filter(Boolean));
  try {
    await change(STORES, async (stores) => {
      for (const id of accounts) await erase(stores, id);
      await noteEnded(stores, sessionIds);
      await owe(stores, sessionIds);
    });
  } catch {
    // On a device that is full there is room when the rest is gone.
    for (const id of accounts) await forget(id);
    await change("marks", (stores) => owe(stores, sessionIds));
  }
}

async function owe({ marks }, sessionIds) {
  await marks.delete("leaving");
  const said = (await marks.get("goodbyes"))?.value ?? [];
  await marks.put({ name: "goodbyes", value: [...new Set([...said, ...sessionIds])] });
}

/** Sessions that are to end as soon as the network allows. */
export const goodbyes = async () => (await get("marks", "goodbyes"))?.value ?? [];

/** A session has ended, so nobody needs to end it. */
export const settle = (sessionId) =>
  change("marks", async ({ marks }) => {
    const left = ((await marks.get("goodbyes"))?.value ?? []).filter((each) => each !== sessionId);
    await marks.put({ name: "goodbyes", value: left });
  });

/** Whether a revision is of the same history as another, and no older. One is `history.count.seal`; what the server says of it counts. */
export function isAsNew(revision, other) {
  const [[history, count], [otherHistory, otherCount]] = [revision, other].map((each) => String(each ?? "").split("."));
  return history === otherHistory && Number(count) >= Number(otherCount);
}

/** How many operations of an account have not been sent. Those set aside count: they have not arrived either. */
export const waiting = async (account) => (await all("outbox", account)).length;

/** Takes or renews a lease for `by`; whether it has it. One that a clock put back would make longer than `length` is over. */
export const lease = (name, by, length) =>
  transact(["marks"], "readwrite", async ({ marks }) => {
    const now = Date.now();
    const held = (await marks.get(`lease ${name}`))?.value;
    const isFree = !held || held.by === by || held.until < now || held.until > now + length;
    if (isFree) await marks.put({ name: `lease ${name}`, value: { by, until: now + length } });
    return isFree;
  });

/** Gives a lease back. */
export const release = (name, by) =>
  transact(["marks"], "readwrite", async ({ marks }) => {
    if ((await marks.get(`lease ${name}`))?.value.by === by) await marks.delete(`lease ${name}`);
  });

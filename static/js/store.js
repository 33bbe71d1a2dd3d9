// What this browser stores about the people who sign in here: the IndexedDB database `sessile`. Pages and the worker share
// it. Its object stores:
//   people  { id, name, email, sessionId, deviceId, expiresAt, absoluteExpiresAt, asOf, ahead, devices, devicesAsOf, revision,
//             draftsAsOf, known?, restored? }
//           `ahead`: milliseconds by which the server's clock is ahead of this device's
//           `known`: while a complete list of drafts arrives in portions, the draft ids received so far
//           `restored`: the server has lost changes and sends a complete list; see outbox-sync.js
//   drafts  { account, id, text, version, updatedAt, updatedOn, conflictOf?, deleted? }
//   outbox  { seq, account, op, state: "waiting" | "sent" | "aside", problem? }, in the order in which people made the changes
//   marks   { name, value }
//           "here": the account whose data pages may show
//           "goodbyes": [session id], pending sign-outs: sessions that the server must still end
//           "leaving": { account, sessionId, at }, while a sign-out is in progress
//           "builds": { now, before }, the caches of the worker's current and previous build
//           "erasures": { account: how often its data was erased on this device }
//           "ended": [session id], the last sessions whose data was erased on this device
//           "notBefore": the time before which the service wants no requests, from `Retry-After`
//           "lease …": { by, until }, a lock where the browser lacks Web Locks
// Only the operations in the outbox leave the device, and only in the name of the person who wrote them.

const NAME = "sessile";
const VERSION = 1;
const STORES = ["people", "drafts", "outbox", "marks"];

/** Receives a message after each change, also of this page: `{ stores: [name] }`. */
export const changes = "BroadcastChannel" in globalThis ? new BroadcastChannel("sessile-store") : new EventTarget();

function announce(stores) {
  const data = { stores };
  changes.postMessage?.(data);
  // A BroadcastChannel does not deliver to the page that posts.
  changes.dispatchEvent(new MessageEvent("message", { data }));
}

let opened = null;

/** Opens the database, and creates it if needed. Rejects where the browser has no storage. */
export function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => createStores(request.result);
    request.onsuccess = () => resolve(reopenWhenClosed(request.result));
    request.onerror = () => reject(request.error);
  }).catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

function createStores(database) {
  database.createObjectStore("people", { keyPath: "id" });
  database.createObjectStore("drafts", { keyPath: ["account", "id"] });
  database.createObjectStore("outbox", { keyPath: "seq", autoIncrement: true }).createIndex("account", "account");
  database.createObjectStore("marks", { keyPath: "name" });
}

/** A newer page may upgrade the database, or the browser may close it. The next use opens it again. */
function reopenWhenClosed(database) {
  database.onversionchange = () => {
    database.close();
    opened = null;
  };
  database.onclose = () => { opened = null; };
  return database;
}

const resultOf = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** An object store of a transaction, with promises for requests. */
const asPromises = (store) => ({
  get: (key) => resultOf(store.get(key)),
  put: (row) => resultOf(store.put(row)),
  add: (row) => resultOf(store.add(row)),
  delete: (key) => resultOf(store.delete(key)),
  all: (account) => resultOf(rows(store, account)),
});

function rows(store, account) {
  if (account === undefined) return store.getAll();
  if (store.name === "outbox") return store.index("account").getAll(account);
  return store.getAll(store.name === "drafts" ? IDBKeyRange.bound([account], [account, []]) : account);
}

/**
 * Runs `work({ name: store })` in one transaction and waits until it has committed. `work` may wait for nothing but
 * these stores.
 */
async function transact(names, mode, work) {
  const database = await open();
  const transaction = database.transaction(names, mode, { durability: "strict" });
  const finished = new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
  });
  // The caller gets this error from `await finished` or from `work`; do not report it as unhandled too.
  finished.catch(() => {});
  const stores = Object.fromEntries(names.map((name) => [name, asPromises(transaction.objectStore(name))]));
  try {
    const result = await work(stores);
    await finished;
    return result;
  } catch (error) {
    try {
      transaction.abort();
    } catch {
      // The transaction has ended already.
    }
    throw error;
  }
}

/** Runs `work` in one read-only transaction over `stores` (names). */
export const read = (stores, work) => transact(stores, "readonly", work);

/** Reads one row, or undefined. */
export const get = (store, key) => transact([store], "readonly", (stores) => stores[store].get(key));

/** Reads all rows, or those of an account, in key order. */
export const all = (store, account) => transact([store], "readonly", (stores) => stores[store].all(account));

/** Runs `work({ drafts, outbox, … })` in one writing transaction over `stores` (names), then announces the change. */
export async function change(stores, work) {
  const names = [stores].flat();
  const result = await transact(names, "readwrite", work);
  announce(names);
  return result;
}

/** The account whose data pages of this browser may show: its id, or null. */
export const here = async () => (await get("marks", "here"))?.value ?? null;

/**
 * Sets the account whose data pages may show. For null the mark is deleted, because a delete works even when the device
 * is full.
 */
export const setHere = (account) =>
  change("marks", ({ marks }) => (account ? marks.put({ name: "here", value: account }) : marks.delete("here")));

/** Removes all data of an account, including unsent changes. On a full device it only deletes, and writes no marks. */
export const forget = (account) =>
  change(STORES, (stores) => eraseAccount(stores, account)).catch(() => change(STORES, (stores) => deleteRows(stores, account)));

async function deleteRows({ people, drafts, outbox, marks }, account) {
  await people.delete(account);
  for (const draft of await drafts.all(account)) await drafts.delete([account, draft.id]);
  for (const { seq } of await outbox.all(account)) await outbox.delete(seq);
  if ((await marks.get("here"))?.value === account) await marks.delete("here");
}

async function eraseAccount(stores, account) {
  const { people, marks } = stores;
  const { dataset } = globalThis.document?.documentElement ?? { dataset: {} };
  const sessions = [(await people.get(account))?.sessionId, dataset.account === account ? dataset.session : undefined];
  await deleteRows(stores, account);
  try {
    const counts = (await marks.get("erasures"))?.value;
    await marks.put({ name: "erasures", value: { ...counts, [account]: (await erasureCount({ marks }, account)) + 1 } });
    await noteErased({ marks }, sessions.filter(Boolean));
  } catch {
    // The data is erased in any case. If there is no room for a mark, there is no room to store the data again either.
  }
}

/**
 * How often an account's data was erased on this device. Work that began before an erasure must store nothing after it.
 */
export const erasureCount = async ({ marks }, account) => (await marks.get("erasures"))?.value[account] ?? 0;

/**
 * The last sessions whose data was erased on this device. A page of such a session may store nothing, whenever it was
 * opened.
 */
export const erasedSessions = async ({ marks }) => (await marks.get("ended"))?.value ?? [];

async function noteErased({ marks }, sessions) {
  const known = (await erasedSessions({ marks })).filter((each) => !sessions.includes(each));
  await marks.put({ name: "ended", value: [...known, ...sessions].slice(-20) });
}

/**
 * Signs out on this device without the network: erases the accounts' data and records the sessions as pending
 * sign-outs.
 */
export async function signOutLocally(sessionIds, account) {
  const known = (await all("people")).filter(({ sessionId }) => sessionIds.includes(sessionId));
  const accounts = new Set([account, ...known.map(({ id }) => id)].filter(Boolean));
  try {
    await change(STORES, async (stores) => {
      for (const id of accounts) await eraseAccount(stores, id);
      await noteErased(stores, sessionIds);
      await addPendingSignOuts(stores, sessionIds);
    });
  } catch {
    // The device is full. Erase first: that makes room for the mark.
    for (const id of accounts) await forget(id);
    await change("marks", (stores) => addPendingSignOuts(stores, sessionIds));
  }
}

async function addPendingSignOuts({ marks }, sessionIds) {
  await marks.delete("leaving");
  const pending = (await marks.get("goodbyes"))?.value ?? [];
  await marks.put({ name: "goodbyes", value: [...new Set([...pending, ...sessionIds])] });
}

/** Sessions that were signed out offline and that the server must still end. */
export const pendingSignOuts = async () => (await get("marks", "goodbyes"))?.value ?? [];

/** Removes a session that the server has ended. */
export const removePendingSignOut = (sessionId) =>
  change("marks", async ({ marks }) => {
    const remaining = ((await marks.get("goodbyes"))?.value ?? []).filter((each) => each !== sessionId);
    await marks.put({ name: "goodbyes", value: remaining });
  });

/**
 * Whether a revision belongs to the same history as another and is not older. A revision reads `history.count.seal`;
 * only the server checks the seal.
 */
export function isAtLeastRevision(revision, other) {
  const [[history, count], [otherHistory, otherCount]] = [revision, other].map((each) => String(each ?? "").split("."));
  return history === otherHistory && Number(count) >= Number(otherCount);
}

/**
 * How many operations of an account have not been sent. Operations that were set aside count too: the server does not
 * have them.
 */
export const waiting = async (account) => (await all("outbox", account)).length;

/**
 * Takes or renews the lease `name` for `by`. Resolves to whether `by` holds it. A lease that ends later than `length`
 * from now was taken before the clock was set back, and counts as expired.
 */
export const lease = (name, by, length) =>
  transact(["marks"], "readwrite", async ({ marks }) => {
    const now = Date.now();
    const held = (await marks.get(`lease ${name}`))?.value;
    const isFree = !held || held.by === by || held.until < now || held.until > now + length;
    if (isFree) await marks.put({ name: `lease ${name}`, value: { by, until: now + length } });
    return isFree;
  });

/** Releases the lease if `by` holds it. */
export const release = (name, by) =>
  transact(["marks"], "readwrite", async ({ marks }) => {
    if ((await marks.get(`lease ${name}`))?.value.by === by) await marks.delete(`lease ${name}`);
  });

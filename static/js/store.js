// What this device keeps of the person who is signed in on it, in IndexedDB, by account: who they are, their drafts, what was
// written and is not sent. Another person who signs in here sees nothing of it; signing out removes it. Used by pages and by
// the worker.

const NAME = "sessile";
const VERSION = 1;

/** Told in other tabs, and in the worker, after each change: `{ stores }`. */
export const changes = new BroadcastChannel("sessile-store");

let opened;

/** The database, opened once. */
export function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      const db = request.result;
      db.createObjectStore("people", { keyPath: "id" });
      db.createObjectStore("drafts", { keyPath: ["account", "id"] });
      db.createObjectStore("outbox", { keyPath: "seq", autoIncrement: true }).createIndex("account", "account");
      db.createObjectStore("marks", { keyPath: "name" });
    };
    request.onsuccess = () => {
      // A later version of the program may want to change it: it must not have to wait for this page.
      request.result.onversionchange = () => { request.result.close(); opened = undefined; };
      request.result.onclose = () => { opened = undefined; };
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("the store is held by an older page"));
  });
  opened.catch(() => { opened = undefined; });
  return opened;
}

const answered = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/** One object store within a transaction. */
const handle = (store) => ({
  get: (key) => answered(store.get(key)),
  put: (value) => answered(store.put(value)),
  add: ({ seq, ...value }) => answered(store.add(seq === undefined ? value : { seq, ...value })),
  delete: (key) => answered(store.delete(key)),
  all: (account) => answered(range(store, account)),
});

function range(store, account) {
  if (account === undefined) return store.getAll();
  if (store.name === "outbox") return store.index("account").getAll(account);
  return store.getAll(IDBKeyRange.bound([account], [account, []]));
}

async function transact(names, mode, work) {
  const db = await open();
  const transaction = db.transaction(names, mode, { durability: "strict" });
  const done = new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error ?? new Error("given up"));
  });
  const stores = Object.fromEntries(names.map((name) => [name, handle(transaction.objectStore(name))]));
  let result;
  try {
    result = await work(stores);
  } catch (error) {
    done.catch(() => {});
    try { transaction.abort(); } catch { /* It is over already. */ }
    throw error;
  }
  await done;
  return result;
}

/** Does `work({ store: { get, put, add, delete, all } })` in one transaction, which lasts when this returns; all of it or nothing. */
export async function change(names, work) {
  const result = await transact(names, "readwrite", work);
  changes.postMessage({ stores: names });
  dispatchEvent(new CustomEvent("store", { detail: names }));
  return result;
}

/** One thing, or nothing. */
export const get = (name, key) => transact([name], "readonly", (stores) => stores[name].get(key));

/** Everything in a store, or what is an account's, in the order of its keys. */
export const all = (name, account) => transact([name], "readonly", (stores) => stores[name].all(account));

/** The account that is signed in here, as far as this device knows; `null` when nobody is. */
export const here = async () => (await get("marks", "here"))?.value ?? null;

/** Notes who is signed in here. */
export async function setHere(account) {
  if ((await here()) === account) return;
  await change(["marks"], ({ marks }) => marks.put({ name: "here", value: account }));
}

/** How many operations of an account are not sent. */
export const waiting = async (account) => (await all("outbox", account)).length;

/** Removes all that is an account's, its outbox too. */
export const forget = (account) =>
  change(["people", "drafts", "outbox", "marks"], async ({ people, drafts, outbox, marks }) => {
    await people.delete(account);
    for (const { id } of await drafts.all(account)) await drafts.delete([account, id]);
    for (const { seq } of await outbox.all(account)) await outbox.delete(seq);
    if ((await marks.get("here"))?.value === account) await marks.delete("here");
  });

/** Remembers that a session was left while there was no network: its logout is carried out before anything else. */
export const leave = (session) =>
  change(["marks"], async ({ marks }) => {
    const left = (await marks.get("goodbyes"))?.value ?? [];
    if (!left.includes(session)) await marks.put({ name: "goodbyes", value: [...left, session] });
  });

/** Sessions that were left so. */
export const goodbyes = async () => (await get("marks", "goodbyes"))?.value ?? [];

/** A logout was carried out. */
export const left = (session) =>
  change(["marks"], async ({ marks }) => {
    const others = ((await marks.get("goodbyes"))?.value ?? []).filter((one) => one !== session);
    await (others.length > 0 ? marks.put({ name: "goodbyes", value: others }) : marks.delete("goodbyes"));
  });

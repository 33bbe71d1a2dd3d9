// The worker. The server puts `const BUILD = { id, files: { path: fingerprint } }` in front (src/pwa.rs). Its rules:
//
// 1. A file of /static/ comes from the cache where that has it, else from the network, whatever may be wrong with the cache.
// 2. A page goes to the network as the browser sends it (navigation preload), and the answer, a 503 of ours too, is shown as
//    it is. Without an answer in time, or with a proxy's instead of ours, the page without a network is shown: /offline.
// 3. While a sign-out that was done offline is not carried out, nothing but it goes out.
// 4. Everything else is not touched: forms, the API, events.
// 5. Nothing is put in a cache but what BUILD lists, when the worker is installed, asked for without cookies, each file
//    checked by its fingerprint. So no page of a person, no answer of the API and nothing that sets a cookie ever is.
// 6. A new build waits until somebody asks for it, or no page is open. One of whose files is missing or is not what the list
//    says is not installed: the old one stays. The old build's files stay for the pages that it made, until the next one.
// 7. On the tag `outbox` (Background Sync) what waits is sent.

import { carryOut } from "./js/goodbye.js";
import { flush, standing } from "./js/outbox.js";
import { changes, goodbyes } from "./js/store.js";

const PREFIX = "sessile-";
const CACHE = PREFIX + BUILD.id;
const SHELL = "/offline";
// A server that answers at all does within its own limits, which are shorter.
const PATIENCE = 8_000;

// --- fetching

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (url.pathname.startsWith("/static/")) {
    event.respondWith(file(request));
  } else if (request.mode === "navigate" && request.method === "GET") {
    event.respondWith(page(event));
  } else if (mustWait(request)) {
    event.respondWith(afterGoodbyes(request));
  }
});

async function file(request) {
  try {
    const kept = await caches.match(request.url, { ignoreVary: true });
    if (kept) return kept;
  } catch {
    // A cache that cannot be read is no cache.
  }
  return fetch(request);
}

async function page(event) {
  // Whatever comes of it, the browser's own request must not end as an error that nobody looks at.
  const own = Promise.resolve(event.preloadResponse).catch(() => undefined);
  if (!(await isSettled())) return shell();
  const answer = await Promise.race([asSent(event, own), silence()]);
  const isOurs = answer && (answer.status < 500 || answer.headers.has("X-Request-Id"));
  return isOurs ? answer : shell(answer);
}

async function asSent(event, own) {
  try {
    return (await own) ?? (await fetch(event.request));
  } catch {
    return undefined;
  }
}

const silence = () => new Promise((done) => { setTimeout(done, PATIENCE); });

async function shell(otherwise) {
  const kept = await caches.match(SHELL, { cacheName: CACHE, ignoreVary: true }).catch(() => undefined);
  return kept ?? otherwise ?? Response.error();
}

// --- goodbyes

// Whether a sign-out may be owed. That none is is certain only after a look at the store, and until the store changes.
let mayOwe = true;
let owes = false;
let changed = 0;
let looking = null;

changes.addEventListener("message", ({ data }) => {
  if (!data.stores?.includes("marks")) return;
  mayOwe = true;
  changed += 1;
});

const isGoodbye = (request) => request.headers.has("X-Goodbye");

const mustWait = (request) => mayOwe && !isGoodbye(request);

/** Carries out what is owed; whether nothing is any more. */
function isSettled() {
  if (!mayOwe) return Promise.resolve(true);
  looking ??= settled().finally(() => { looking = null; });
  return looking;
}

async function settled() {
  const before = changed;
  // A browser that keeps nothing owes nothing.
  const owed = await goodbyes().catch(() => []);
  owes = owed.length > 0;
  if (!owes) {
    mayOwe = changed !== before;
    return true;
  }
  owes = !(await carryOut().catch(() => false));
  if (!owes) await preload(true).catch(() => {});
  return !owes;
}

async function afterGoodbyes(request) {
  if (await isSettled()) return fetch(request);
  return request.mode === "navigate" ? shell() : Response.error();
}

/** The browser's own request would not wait for a goodbye. */
async function preload(on) {
  const { navigationPreload } = registration;
  await (on ? navigationPreload?.enable() : navigationPreload?.disable());
}

// --- builds

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));

async function install() {
  const cache = await caches.open(CACHE);
  try {
    await Promise.all(Object.entries(BUILD.files).map(([path, print]) => keep(cache, path, print)));
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

/** Fetches a file, a second time past the browser's own cache, which may hold it damaged. */
async function keep(cache, path, print) {
  for (const mode of ["default", "reload"]) {
    const answer = await fetch(path, { cache: mode, credentials: "omit", redirect: "error" });
    if (answer.ok && (await fingerprint(answer.clone())) === print) return cache.put(path, answer);
  }
  throw new Error(`${path} is not what this build lists`);
}

async function fingerprint(answer) {
  const digest = await crypto.subtle.digest("SHA-256", await answer.arrayBuffer());
  return [...new Uint8Array(digest, 0, 5)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function activate() {
  const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(others.slice(0, -1).map((name) => caches.delete(name)));
  await preload((await goodbyes().catch(() => [])).length === 0);
  await clients.claim();
}

// --- what pages and the browser ask of it

addEventListener("message", (event) => {
  if (event.data?.name === "apply") skipWaiting();
  if (event.data?.name === "goodbye") event.waitUntil(hold(event.ports[0]));
});

/** A page has left offline: from now on everything waits. */
async function hold(port) {
  mayOwe = true;
  owes = true;
  await preload(false).catch(() => {});
  port?.postMessage("held");
}

addEventListener("sync", (event) => {
  if (event.tag === "outbox") event.waitUntil(sendOutbox());
});

async function sendOutbox() {
  if (!(await isSettled())) throw new Error("a sign-out comes first");
  await flush();
  // The browser tries again later.
  if (standing === "offline" || standing === "away") throw new Error("what waits was not sent");
}

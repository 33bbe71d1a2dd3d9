// The worker. The server joins it with its modules and puts `const BUILD = { id, files: { path: fingerprint } }` in front
// (src/pwa.rs): browsers fetch a module worker without cookies. So no two of its modules declare the same name. Its rules:
//
// 1. A file of /static/ comes from the cache where that has it, else from the network, whatever may be wrong with the cache.
// 2. A page goes to the network as the browser sends it (navigation preload), and the answer is shown as it is. The page
//    without a network, /offline, is shown when there is no answer, or a proxy's instead of ours; to who is known here also
//    when the service is away (503), and when the answer takes long: it is shown after all when it comes, without asking again.
// 3. While a sign-out that was done offline is not carried out, nothing but it goes out; if somebody else than the server
//    answers, what they want is shown: under our addresses their page is asked for without cookies, under theirs with them,
//    since nobody could sign in there otherwise. No page of ours is shown.
// 4. Everything else is not touched: forms, the API, events.
// 5. Nothing is put in a cache but what BUILD lists, when the worker is installed, each file checked by its fingerprint. So
//    no page of a person, no answer of the API and no page of a proxy ever is. Cookies go with it, which such a proxy may want.
// 6. A new build waits until somebody asks for it, or no page is open. One of whose files is missing or is not what the list
//    says is not installed: the old one stays. The old build's files stay for the pages that it made, until the next one.
// 7. On the tag `outbox` (Background Sync) what waits is sent.

import { carryOut } from "./js/goodbye.js";
import { known, timeLeft } from "./js/known.js";
import { flush, standing } from "./js/outbox.js";
import { change, changes, goodbyes } from "./js/store.js";

const PREFIX = "sessile-";
const CACHE = PREFIX + BUILD.id;
const SHELL = "/offline";
/** Where pages of ours are. The sign-in of a proxy has addresses of its own. */
const OUR_PAGES = /^\/((setup|login|logout|signup|dashboard|devices|activity|drafts|account|confirm|admin|people|apps|forgot|link|offline)(\/|$)|$)/;
// A server that answers at all does within its own limits, which are shorter.
const PATIENCE = 8_000;
/** Of who can go on here meanwhile. */
const SHORT_PATIENCE = 3_000;
/** A page that came late is asked for at once, or somebody is writing and it grows old. */
const KEPT_FOR = 15_000;

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
  const { url } = event.request;
  // Whatever comes of it, the browser's own request must not end as an error that nobody looks at.
  const own = Promise.resolve(event.preloadResponse).catch(() => undefined);
  const isFree = await Promise.race([isSettled(), wait(SHORT_PATIENCE)]);
  if (!isFree) return outcome === "else" ? ofSomebodyElse(event.request) : shell();
  const late = takeLate(url);
  if (late) return late;
  const asked = asSent(event, own);
  const inTime = await Promise.race([asked.then(() => true), patience()]);
  if (!inTime) {
    const meanwhile = await kept();
    if (meanwhile) {
      comesLate(event, asked);
      return meanwhile;
    }
  }
  const answer = await asked;
  return (await isToBeShown(answer)) ? answer : shell(answer);
}

async function asSent(event, own) {
  try {
    return (await own) ?? (await fetch(event.request));
  } catch {
    return undefined;
  }
}

/** Whether it is ours, and better than what can be shown here. */
async function isToBeShown(answer) {
  if (!answer) return false;
  if (answer.status < 500) return true;
  return answer.headers.has("X-Request-Id") && !(answer.status === 503 && (await isKnown()));
}

/** Whether something can be shown here, and written. */
async function isKnown() {
  const person = await known().catch(() => null);
  return person !== null && timeLeft(person) > 0;
}

async function patience() {
  const began = Date.now();
  const time = (await isKnown()) ? SHORT_PATIENCE : PATIENCE;
  return wait(time - (Date.now() - began));
}

/** Nothing, after a time. */
const wait = (time) => new Promise((done) => { setTimeout(done, time); });

const kept = () => caches.match(SHELL, { cacheName: CACHE, ignoreVary: true }).catch(() => undefined);

const shell = async (otherwise) => (await kept()) ?? otherwise ?? Response.error();

const isOurPage = (request) => OUR_PAGES.test(new URL(request.url).pathname);

/** A proxy before us wants something. */
async function ofSomebodyElse(request) {
  const isOurs = isOurPage(request);
  const asked = isOurs ? fetch(request.url, { credentials: "omit", redirect: "manual" }) : fetch(request);
  const answer = await asked.catch(() => undefined);
  return answer && (isOurs || !answer.headers.has("X-Request-Id")) ? answer : shell();
}

// --- pages that come late

/** Which pages are awaited, by the id of the client that shows /offline meanwhile: whether they came. */
const awaited = new Map();
let late = null;

function comesLate(event, asked) {
  const id = event.resultingClientId;
  const coming = asked.then(async (answer) => {
    if (!(await isToBeShown(answer))) return false;
    late = { url: event.request.url, answer, at: Date.now() };
    return true;
  });
  awaited.set(id, coming);
  event.waitUntil(coming.finally(() => { setTimeout(() => awaited.delete(id), KEPT_FOR); }));
}

/** In memory only, once, and only while it is the answer of a moment ago. */
function takeLate(url) {
  const one = late;
  if (one?.url !== url) return undefined;
  late = null;
  return Date.now() - one.at < KEPT_FOR ? one.answer : undefined;
}

async function tellOfLate(source, port) {
  const coming = awaited.get(source?.id);
  if (coming) port.postMessage("wait");
  port.postMessage((await coming) ? "here" : "none");
}

// --- goodbyes

// Whether a sign-out may be owed. That none is is certain only after a look at the store, and until the store changes.
let mayOwe = true;
let changed = 0;
/** What the last try came to, as `carryOut` says it. */
let outcome = "done";
let looking = null;

changes.addEventListener("message", ({ data }) => {
  if (!data.stores?.includes("marks")) return;
  mayOwe = true;
  changed += 1;
  // Whoever it was for may have left.
  late = null;
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
  outcome = owed.length > 0 ? await carryOut().catch(() => "offline") : "done";
  if (outcome !== "done") return false;
  // A page may have carried it out.
  await preload(true).catch(() => {});
  if (owed.length === 0) mayOwe = changed !== before;
  return true;
}

async function afterGoodbyes(request) {
  if (await isSettled()) return fetch(request);
  if (request.mode === "navigate") return outcome === "else" && !isOurPage(request) ? ofSomebodyElse(request) : shell();
  // Whoever asks whether the service is there is told what it said a moment ago.
  if (new URL(request.url).pathname === "/readyz" && outcome === "away") return new Response(null, { status: 503 });
  return Response.error();
}

/** The browser's own request would not wait for a goodbye. */
async function preload(on) {
  const { navigationPreload } = registration;
  if (!navigationPreload || (await navigationPreload.getState()).enabled === on) return;
  await (on ? navigationPreload.enable() : navigationPreload.disable());
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

/** Fetches a file, a second time if the first was lost, and past the browser's own cache, which may hold it damaged. */
async function keep(cache, path, print) {
  for (const mode of ["default", "reload"]) {
    const answer = await fetch(path, { cache: mode, redirect: "error" }).catch(() => undefined);
    if (answer?.ok && (await fingerprint(answer.clone())) === print) return cache.put(path, answer);
  }
  throw new Error(`${path} is not what this build lists`);
}

async function fingerprint(answer) {
  const digest = await crypto.subtle.digest("SHA-256", await answer.arrayBuffer());
  return [...new Uint8Array(digest, 0, 5)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function activate() {
  const before = await takeOver().catch(() => undefined);
  const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  // Where nothing can be noted, the newest is most likely the one before.
  const stays = others.includes(before) ? before : others.at(-1);
  await Promise.all(others.filter((name) => name !== stays).map((name) => caches.delete(name)));
  await preload((await goodbyes().catch(() => [])).length === 0);
  await clients.claim();
}

/** Notes that this build is in use, and answers which one was before: others may have been installed and never used. */
const takeOver = () =>
  change("marks", async ({ marks }) => {
    const { now, before } = (await marks.get("builds"))?.value ?? {};
    if (now === CACHE) return before;
    await marks.put({ name: "builds", value: { now: CACHE, before: now } });
    return now;
  });

// --- what pages and the browser ask of it

addEventListener("message", (event) => {
  if (event.data?.name === "apply") skipWaiting();
  if (event.data?.name === "goodbye") event.waitUntil(hold(event.ports[0]));
  if (event.data?.name === "awaited") event.waitUntil(tellOfLate(event.source, event.ports[0]));
});

/** A page has left offline: from now on everything waits. */
async function hold(port) {
  mayOwe = true;
  late = null;
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
  if (["offline", "away", "stuck"].includes(standing)) throw new Error("what waits was not sent");
}

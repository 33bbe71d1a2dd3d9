// The service worker. Browsers fetch a module worker without cookies, so the server joins this file and the modules that it
// imports into one classic script (src/pages/pwa), with `const BUILD = { id, files: { path: fingerprint } }` in front. All
// modules share the scope of that script, so no two of them may declare the same top-level name. The rules:
//
// 1. A file under /static/ comes from the cache if it is there, otherwise from the network. If the cache fails, the network
//    is used.
// 2. A page is requested from the network exactly as the browser sent the request (navigation preload), and the answer is
//    shown unchanged. The offline page, /offline, is shown instead if there is no answer, if the answer takes too long, or
//    if a proxy answers with a server error. If this device knows who is signed in, the offline page is also shown when the
//    service is unavailable (503). A late answer is shown when it arrives, without a second request.
// 3. While an offline sign-out is pending, the worker sends nothing but that sign-out, and shows no page of Sessile. If
//    something other than Sessile answers the sign-out, such as a proxy that wants its own sign-in, the person must see
//    what it wants. Then the worker requests addresses of Sessile without cookies, and other addresses with cookies,
//    because the proxy's sign-in needs them.
// 4. All other requests are left alone: forms, the API, events.
// 5. Only the files in BUILD are cached, only at installation, and only if their fingerprints match. So the cache never
//    holds a person's page, an answer of the API or a proxy's page. The files are requested with cookies, which a proxy
//    may require.
// 6. A new build waits until a person asks for it or no page is open. If one of its files is missing or does not match, the
//    build is not installed and the old one stays. The files of the previous build stay for the pages that it made, until
//    the next build.
// 7. On the sync tag `outbox` (Background Sync) the outbox is sent.

import { finishSignOuts } from "./js/offline-sign-out.js";
import { knownPerson, timeLeft } from "./js/known-person.js";
import { flush, standing } from "./js/outbox.js";
import { change, changes, pendingSignOuts } from "./js/store.js";

const PREFIX = "sessile-";
const CACHE = PREFIX + BUILD.id;
const OFFLINE_PAGE = "/offline";
/** Paths of Sessile's pages. A proxy's sign-in page has other paths. */
const SESSILE_PAGES = /^\/((setup|login|logout|signup|dashboard|devices|activity|drafts|account|confirm|admin|people|apps|forgot|link|offline)(\/|$)|$)/;
// How long a navigation waits for the network, in milliseconds. The server's own time limits are shorter.
const NAVIGATION_TIMEOUT = 8_000;
/** The same, for a person who can use the offline page meanwhile. */
const SHORT_TIMEOUT = 3_000;
/**
 * How long a late answer is held for the offline page, in milliseconds. The offline page requests it at once, unless
 * the person is writing there. Meanwhile the answer becomes out of date.
 */
const LATE_ANSWER_LIFETIME = 15_000;

// --- fetching

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (url.pathname.startsWith("/static/")) {
    event.respondWith(answerFile(request));
  } else if (request.mode === "navigate" && request.method === "GET") {
    event.respondWith(answerPage(event));
  } else if (mustWait(request)) {
    event.respondWith(afterSignOuts(request));
  }
});

async function answerFile(request) {
  try {
    const cached = await caches.match(request.url, { ignoreVary: true });
    if (cached) return cached;
  } catch {
    // Treat a cache that cannot be read as empty.
  }
  return fetch(request);
}

async function answerPage(event) {
  const { url } = event.request;
  // If the preload fails, catch the error here: nothing may ever await this promise.
  const preloaded = Promise.resolve(event.preloadResponse).catch(() => undefined);
  const isAllowed = await Promise.race([completeSignOuts(), wait(SHORT_TIMEOUT)]);
  if (!isAllowed) return signOutOutcome === "else" ? proxyAnswer(event.request) : offlinePage();
  const heldAnswer = takeLateAnswer(url);
  if (heldAnswer) return heldAnswer;
  const pendingAnswer = networkAnswer(event, preloaded);
  const isInTime = await Promise.race([pendingAnswer.then(() => true), navigationTimeout()]);
  if (!isInTime) {
    const cached = await cachedOfflinePage();
    if (cached) {
      expectLateAnswer(event, pendingAnswer);
      return cached;
    }
  }
  const answer = await pendingAnswer;
  return (await isPresentable(answer)) ? answer : offlinePage(answer);
}

async function networkAnswer(event, preloaded) {
  try {
    return (await preloaded) ?? (await fetch(event.request));
  } catch {
    return undefined;
  }
}

/** Whether to show this answer rather than the offline page. */
async function isPresentable(answer) {
  if (!answer) return false;
  if (answer.status < 500) return true;
  return answer.headers.has("X-Request-Id") && !(answer.status === 503 && (await canUseOfflinePage()));
}

/** Whether the offline page can show this device's person and let them write. */
async function canUseOfflinePage() {
  const person = await knownPerson().catch(() => null);
  return person !== null && timeLeft(person) > 0;
}

async function navigationTimeout() {
  const began = Date.now();
  const time = (await canUseOfflinePage()) ? SHORT_TIMEOUT : NAVIGATION_TIMEOUT;
  return wait(time - (Date.now() - began));
}

/** Resolves to undefined after `time` milliseconds. */
const wait = (time) => new Promise((done) => { setTimeout(done, time); });

const cachedOfflinePage = () => caches.match(OFFLINE_PAGE, { cacheName: CACHE, ignoreVary: true }).catch(() => undefined);

const offlinePage = async (fallback) => (await cachedOfflinePage()) ?? fallback ?? Response.error();

const isSessilePage = (request) => SESSILE_PAGES.test(new URL(request.url).pathname);

/** The answer of the proxy that prevents a pending sign-out, if it gives one; see rule 3. */
async function proxyAnswer(request) {
  const isOwnPage = isSessilePage(request);
  const pendingAnswer = isOwnPage ? fetch(request.url, { credentials: "omit", redirect: "manual" }) : fetch(request);
  const answer = await pendingAnswer.catch(() => undefined);
  return answer && (isOwnPage || !answer.headers.has("X-Request-Id")) ? answer : offlinePage();
}

// --- pages that come late

/**
 * For each client that shows the offline page while a late answer is on its way: whether that answer has arrived, by
 * client id.
 */
const expectedAnswers = new Map();
let lateAnswer = null;

function expectLateAnswer(event, pendingAnswer) {
  const id = event.resultingClientId;
  const arrival = pendingAnswer.then(async (answer) => {
    const whole = (await isPresentable(answer)) && (await readWhole(answer).catch(() => undefined));
    if (!whole) return false;
    lateAnswer = { url: event.request.url, answer: whole, at: Date.now() };
    return true;
  });
  expectedAnswers.set(id, arrival);
  event.waitUntil(arrival.finally(() => { setTimeout(() => expectedAnswers.delete(id), LATE_ANSWER_LIFETIME); }));
}

/**
 * The answer with its body in memory. The browser may stop a preloaded answer's body once the event of its navigation has
 * ended, and a page that is given such an answer never finishes loading.
 */
async function readWhole(answer) {
  if (answer.type === "opaqueredirect") return answer;
  const { status, statusText, headers } = answer;
  return new Response(await answer.arrayBuffer(), { status, statusText, headers });
}

/** Returns the late answer for an address, once, and only shortly after it arrived. It is held in memory only. */
function takeLateAnswer(url) {
  const held = lateAnswer;
  if (held?.url !== url) return undefined;
  lateAnswer = null;
  return Date.now() - held.at < LATE_ANSWER_LIFETIME ? held.answer : undefined;
}

async function reportLateAnswer(source, port) {
  const arrival = expectedAnswers.get(source?.id);
  if (arrival) port.postMessage("wait");
  port.postMessage((await arrival) ? "here" : "none");
}

// --- pending sign-outs

// Whether a sign-out may be pending. False only after a look at the store, and only until the store changes.
let mayBePending = true;
let changeCount = 0;
/** The result of the last attempt, as `finishSignOuts` returns it. */
let signOutOutcome = "done";
let currentAttempt = null;

changes.addEventListener("message", ({ data }) => {
  if (!data.stores?.includes("marks")) return;
  mayBePending = true;
  changeCount += 1;
  // The person whom the held answer was for may have signed out.
  lateAnswer = null;
});

const isSignOutRequest = (request) => request.headers.has("X-Goodbye");

const mustWait = (request) => mayBePending && !isSignOutRequest(request);

/** Tries to finish all pending sign-outs. Resolves to whether none is left. */
function completeSignOuts() {
  if (!mayBePending) return Promise.resolve(true);
  currentAttempt ??= attemptSignOuts().finally(() => { currentAttempt = null; });
  return currentAttempt;
}

async function attemptSignOuts() {
  const before = changeCount;
  // A browser without storage has no pending sign-outs.
  const pending = await pendingSignOuts().catch(() => []);
  signOutOutcome = pending.length > 0 ? await finishSignOuts().catch(() => "offline") : "done";
  if (signOutOutcome !== "done") return false;
  // Switch the preload on again even if a page finished the sign-out.
  await setPreload(true).catch(() => {});
  if (pending.length === 0) mayBePending = changeCount !== before;
  return true;
}

async function afterSignOuts(request) {
  if (await completeSignOuts()) return fetch(request);
  if (request.mode === "navigate") return signOutOutcome === "else" && !isSessilePage(request) ? proxyAnswer(request) : offlinePage();
  // Tell a page that probes the service the result of the last attempt.
  if (new URL(request.url).pathname === "/readyz" && signOutOutcome === "away") return new Response(null, { status: 503 });
  return Response.error();
}

/**
 * Switches navigation preload on or off. It must be off while a sign-out is pending, because the preload request would
 * overtake it.
 */
async function setPreload(on) {
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
    await Promise.all(Object.entries(BUILD.files).map(([path, expected]) => cacheFile(cache, path, expected)));
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

/**
 * Fetches a file and caches it if its fingerprint matches. The second try bypasses the browser's HTTP cache, which may
 * hold a damaged copy.
 */
async function cacheFile(cache, path, expected) {
  for (const mode of ["default", "reload"]) {
    const answer = await fetch(path, { cache: mode, redirect: "error" }).catch(() => undefined);
    if (answer?.ok && (await fingerprint(answer.clone())) === expected) return cache.put(path, answer);
  }
  throw new Error(`${path} does not match the fingerprint in this build`);
}

async function fingerprint(answer) {
  const digest = await crypto.subtle.digest("SHA-256", await answer.arrayBuffer());
  return [...new Uint8Array(digest, 0, 5)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function activate() {
  const before = await recordBuild().catch(() => undefined);
  const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  // If the store cannot be written, assume that the newest other cache belongs to the previous build.
  const kept = others.includes(before) ? before : others.at(-1);
  await Promise.all(others.filter((name) => name !== kept).map((name) => caches.delete(name)));
  await setPreload((await pendingSignOuts().catch(() => [])).length === 0);
  await clients.claim();
}

/**
 * Records that this build is in use. Resolves to the cache of the build used before: other builds may have been
 * installed but never used.
 */
const recordBuild = () =>
  change("marks", async ({ marks }) => {
    const { now, before } = (await marks.get("builds"))?.value ?? {};
    if (now === CACHE) return before;
    await marks.put({ name: "builds", value: { now: CACHE, before: now } });
    return now;
  });

// --- messages and events

addEventListener("message", (event) => {
  if (event.data?.name === "apply") skipWaiting();
  if (event.data?.name === "goodbye") event.waitUntil(holdRequests(event.ports[0]));
  if (event.data?.name === "awaited") event.waitUntil(reportLateAnswer(event.source, event.ports[0]));
});

/** A page has signed out offline: hold all requests from now on. */
async function holdRequests(port) {
  mayBePending = true;
  lateAnswer = null;
  await setPreload(false).catch(() => {});
  port?.postMessage("held");
}

addEventListener("sync", (event) => {
  if (event.tag === "outbox") event.waitUntil(sendOutbox());
});

async function sendOutbox() {
  if (!(await completeSignOuts())) throw new Error("a pending sign-out must be finished first");
  await flush();
  // A rejection makes the browser try again later.
  if (["offline", "away", "stuck"].includes(standing)) throw new Error("the outbox was not sent");
}

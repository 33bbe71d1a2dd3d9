// Keeps open pages up to date with server-sent events (/api/events). One tab of the browser reads the stream and passes
// the events on to the other tabs. When the session ends, the page goes to the login page, which states the reason.
// When a list changes, the page fires `sessions-changed` or `drafts-changed` on the document. Each region that is
// marked with the first word of the event, <section id="…" data-live="sessions">, is then fetched again from the page's
// own address and replaced.

import { hasChanged as zoneHasChanged } from "./zone.js";
import { abortRequests, anySignal } from "./background-requests.js";

const EVENTS = { "sessions-changed": "sessions", "drafts-changed": "drafts" };
// A stream without data for this long is dead: the server sends a heartbeat every 15 s.
const MAX_SILENCE = 40_000;
const FIRST_DELAY = 500;
const MAX_DELAY = 60_000;
// After this time this tab sees a cookie that another tab has just changed.
const COOKIE_DELAY = 1_500;
// If the login page sends the browser back within this time, going there again would be a loop.
const LOOP_TIME = 10_000;
const { session } = document.documentElement.dataset;
const unattended = { "X-Unattended": "1" };

const tabs = "BroadcastChannel" in window ? new BroadcastChannel("sessile-live") : null;
const page = new AbortController();
let navigatedAt = 0;

const wait = (time) => new Promise((done) => setTimeout(done, time));
const isGone = () => page.signal.aborted;

// --- leaving

/** The session has ended: abort all requests and go to the login page, unless the page is being left already. */
function leavePage() {
  if (isGone()) return;
  abortRequests();
  page.abort();
  goToLogin();
}

function goToLogin() {
  // The person has just followed a link or submitted a form. Let that navigation finish first.
  const isNavigating = Date.now() - navigatedAt < 3_000;
  const remaining = LOOP_TIME - (Date.now() - Number(sessionStorage.getItem("sessile-left")));
  if (isNavigating || remaining > 0) {
    setTimeout(goToLogin, isNavigating ? 3_000 : Math.min(remaining, LOOP_TIME));
    return;
  }
  sessionStorage.setItem("sessile-left", Date.now());
  location.replace(`/login?next=${encodeURIComponent(location.pathname + location.search + location.hash)}`);
}

/**
 * Leaves the page if the server confirms that the session has ended. Waits first, because another tab may just have
 * changed the cookie. A fault of the service is not an end.
 */
async function leaveIfEnded() {
  await wait(COOKIE_DELAY);
  const answer = await fetch("/api/session", { headers: unattended, cache: "no-store", redirect: "manual", signal: page.signal });
  const problem = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  if (answer.status === 401 && problem) {
    tabs?.postMessage({ name: "session-ended", of: session });
    leavePage();
  }
  return answer.ok;
}

// --- events

function handleEvent(name, detail) {
  if (name === "session-ended") leavePage();
  const kind = EVENTS[name];
  if (!kind) return;
  document.dispatchEvent(new CustomEvent(name, { detail }));
  refresh(kind);
}

function broadcast(name, detail = {}) {
  tabs?.postMessage({ name, told: detail, of: session });
  handleEvent(name, detail);
}

function announceAllChanges() {
  for (const name of Object.keys(EVENTS)) broadcast(name);
}

// --- regions

const stale = new Set();
let refreshing = false;

async function refresh(kind) {
  if (!document.querySelector(`[data-live~="${kind}"][id]`)) return;
  stale.add(kind);
  if (refreshing || document.hidden) return;
  refreshing = true;
  try {
    while (stale.size > 0 && !isGone()) {
      // Spread the requests: other browsers may have received the event at the same time.
      await wait(Math.random() * 250);
      const kinds = [...stale];
      stale.clear();
      try {
        await fetchRegions(kinds);
      } catch (error) {
        kinds.forEach((each) => stale.add(each));
        throw error;
      }
      await wait(750);
    }
  } catch {
    // The next change, or the next time the page becomes visible, tries again.
  } finally {
    refreshing = false;
  }
}

async function fetchRegions(kinds) {
  const answer = await fetch(location.href, { headers: unattended, cache: "no-store", redirect: "manual", signal: page.signal });
  // A proxy may have answered with its own page.
  if (!answer.ok || !answer.headers.has("X-Request-Id")) return;
  const freshPage = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const kind of kinds) {
    for (const old of document.querySelectorAll(`[data-live~="${kind}"][id]`)) {
      const replacement = freshPage.getElementById(old.id);
      if (replacement && !old.isEqualNode(replacement) && !isBeingUsed(old)) replaceRegion(old, replacement);
    }
  }
}

/** Whether a field in the region has the focus or has been changed. */
const isBeingUsed = (region) =>
  [...region.querySelectorAll("input:not([type=hidden]), textarea, select")].some(
    (field) => field === document.activeElement || (field.defaultValue ?? field.value) !== field.value,
  );

function replaceRegion(old, replacement) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const focusPath = focused && focusPathOf(focused, old);
  const open = [...old.querySelectorAll("details[open][id]")].map(({ id }) => id);
  const [x, y] = [scrollX, scrollY];
  const region = document.importNode(replacement, true);
  old.replaceWith(region);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focusPath) findControl(focusPath, region)?.focus({ preventScroll: true });
  scrollTo({ left: x, top: y, behavior: "instant" });
  region.dispatchEvent(new CustomEvent("region-refreshed", { bubbles: true }));
}

/** How to find a control in the new region: by its id, otherwise as the n-th element of its name. */
function focusPathOf(control, region) {
  if (control.id) return { id: control.id };
  const all = [...region.querySelectorAll(control.localName)];
  return { name: control.localName, at: all.indexOf(control) };
}

const findControl = ({ id, name, at }, region) => (id ? document.getElementById(id) : region.querySelectorAll(name)[at]);

// --- the stream

async function keepListening(signal, startsLate) {
  let delay = FIRST_DELAY;
  let mayHaveMissed = startsLate;
  while (!signal.aborted && !isGone()) {
    const opened = performance.now();
    try {
      await listen(anySignal(signal, page.signal), () => {
        if (mayHaveMissed) announceAllChanges();
        mayHaveMissed = true;
      });
    } catch (error) {
      // Any error leaves a gap in the events. An abort comes from this page and is no failure of the service.
      if (error instanceof TypeError) reportAnswer(0);
    }
    if (signal.aborted || isGone()) return;
    if (performance.now() - opened > 5_000) delay = FIRST_DELAY;
    await wait(delay / 2 + Math.random() * delay);
    delay = Math.min(delay * 2, MAX_DELAY);
  }
}

/** Tells state.js how a request sent at `began` was answered; 0 if Sessile did not answer. */
const reportAnswer = (status, began) => document.dispatchEvent(new CustomEvent("service-answered", { detail: { status, began } }));

/** Reads one stream until it ends. */
async function listen(signal, onOpen) {
  const silence = new AbortController();
  let silenceTimer = setTimeout(() => silence.abort(), MAX_SILENCE);
  const began = performance.now();
  const answer = await fetch("/api/events", {
    headers: { Accept: "text/event-stream" },
    cache: "no-store",
    redirect: "manual",
    signal: anySignal(signal, silence.signal),
  });
  try {
    const type = answer.headers.get("Content-Type") ?? "";
    const isOurs = /^(text\/event-stream|application\/problem\+json)/.test(type);
    reportAnswer(isOurs || answer.status >= 500 ? answer.status : 0, began);
    if (answer.status === 401) await leaveIfEnded();
    if (!answer.ok || !isOurs) return;
    onOpen();
    let buffer = "";
    for await (const chunk of chunks(answer.body)) {
      clearTimeout(silenceTimer);
      silenceTimer = setTimeout(() => silence.abort(), MAX_SILENCE);
      const events = (buffer + chunk).split("\n\n");
      buffer = events.pop();
      events.forEach(readEvent);
    }
  } finally {
    clearTimeout(silenceTimer);
  }
}

async function* chunks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function readEvent(event) {
  const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
  if (fields.event) broadcast(fields.event, JSON.parse(fields.data || "{}"));
}

// --- one stream per browser

let isLeader = false;
let hasLeaderAnswered = false;
let mustSteal = false;
let lockRequest = new AbortController();

async function start() {
  if (!navigator.locks) return listenWhileVisible();
  await listenWithLock({ ifAvailable: true }, false);
  checkLeader();
  while (!isGone()) {
    lockRequest = new AbortController();
    const options = mustSteal ? { steal: true } : { signal: anySignal(lockRequest.signal, page.signal) };
    mustSteal = false;
    await listenWithLock(options, true);
  }
}

/**
 * Web Locks need a secure context. Without them each visible tab reads its own stream; hidden tabs read none, because
 * browsers allow few connections to a host.
 */
async function listenWhileVisible() {
  for (let isLate = false; !isGone(); isLate = true) {
    if (document.hidden) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
    const hidden = new AbortController();
    document.addEventListener("visibilitychange", () => hidden.abort(), { once: true });
    await keepListening(anySignal(hidden.signal, page.signal), isLate);
  }
}

/** Reads the stream for all tabs while this tab holds the lock. */
async function listenWithLock(options, startsLate) {
  const held = new AbortController();
  try {
    await navigator.locks.request("sessile-live", options, async (lock) => {
      if (!lock) return;
      isLeader = true;
      await keepListening(anySignal(held.signal, page.signal), startsLate);
    });
  } catch {
    // Another tab has taken the lock, or this page is being left.
  } finally {
    isLeader = false;
    held.abort();
  }
}

/**
 * The browser may have frozen a background tab that holds the lock. If the leader does not answer, this tab steals the
 * lock.
 */
async function checkLeader() {
  if (!tabs || !navigator.locks || isLeader || document.hidden) return;
  hasLeaderAnswered = false;
  tabs.postMessage({ name: "who-leads" });
  await wait(1_000);
  if (hasLeaderAnswered || isLeader || document.hidden || isGone()) return;
  mustSteal = true;
  lockRequest.abort();
}

if (tabs) {
  tabs.onmessage = ({ data }) => {
    if (data.name === "who-leads" && isLeader) tabs.postMessage({ name: "leader-here" });
    if (data.name === "leader-here") hasLeaderAnswered = true;
    // A tab opened before the last sign-in reports the end of its own session, which may not be this page's session.
    if (data.name === "session-ended" && data.of !== session) leaveIfEnded().catch(() => {});
    else handleEvent(data.name, data.told);
  };
}
addEventListener("beforeunload", () => { navigatedAt = Date.now(); });
// A sign-out on this page needs no event.
document.addEventListener("leaving", () => page.abort());
addEventListener("pagehide", () => page.abort());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const kind of [...stale]) refresh(kind);
  checkLeader();
});
// The server wrote days and times for another time zone.
if (zoneHasChanged) refresh("sessions");
start();

// Open pages hear at once of what happens to their session. One tab of a browser keeps the stream (/api/events) and tells
// the others. When the session ends, the page goes to the login, which says why. When a list changes, the page fires
// `sessions-changed` or `drafts-changed` on the document, and each region that is marked with the event's first word,
// <section id="…" data-live="sessions">, is fetched again from the page's own address and put in its place.

import { hasChanged as zoneHasChanged } from "./zone.js";
import { either, giveUp } from "./under-way.js";

const EVENTS = { "sessions-changed": "sessions", "drafts-changed": "drafts" };
// A stream that says nothing for this long is dead: it beats every 15 s.
const SILENCE = 40_000;
const FIRST_DELAY = 500;
const LAST_DELAY = 60_000;
// What another tab has just done to the cookie has arrived after this.
const SECOND_LOOK = 1_500;
// A page that came back here this soon after leaving would go round in circles.
const CIRCLE = 10_000;
const { session } = document.documentElement.dataset;
const unattended = { "X-Unattended": "1" };

const tabs = "BroadcastChannel" in window ? new BroadcastChannel("sessile-live") : null;
const page = new AbortController();
let navigating = 0;

const wait = (time) => new Promise((done) => setTimeout(done, time));
const gone = () => page.signal.aborted;

// --- leaving

/** The session has ended: nothing is asked for any more, and the page goes to the login, unless it is going already. */
function leave() {
  if (gone()) return;
  giveUp();
  page.abort();
  goToLogin();
}

function goToLogin() {
  // Somebody has just pressed a link or a button here: where that leads comes first.
  const isGoing = Date.now() - navigating < 3_000;
  const rest = CIRCLE - (Date.now() - Number(sessionStorage.getItem("sessile-left")));
  if (isGoing || rest > 0) {
    setTimeout(goToLogin, isGoing ? 3_000 : Math.min(rest, CIRCLE));
    return;
  }
  sessionStorage.setItem("sessile-left", Date.now());
  location.replace(`/login?next=${encodeURIComponent(location.pathname + location.search + location.hash)}`);
}

/** Leaves if the session has really ended. A cookie may have changed a moment ago; a fault is no end. */
async function leaveIfEnded() {
  await wait(SECOND_LOOK);
  const answer = await fetch("/api/session", { headers: unattended, cache: "no-store", redirect: "manual", signal: page.signal });
  const problem = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  if (answer.status === 401 && problem) {
    tabs?.postMessage({ name: "session-ended", of: session });
    leave();
  }
  return answer.ok;
}

// --- what is told

function hear(name, told) {
  if (name === "session-ended") leave();
  const kind = EVENTS[name];
  if (!kind) return;
  document.dispatchEvent(new CustomEvent(name, { detail: told }));
  refresh(kind);
}

function tell(name, told = {}) {
  tabs?.postMessage({ name, told, of: session });
  hear(name, told);
}

function missed() {
  for (const name of Object.keys(EVENTS)) tell(name);
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
    while (stale.size > 0 && !gone()) {
      // Others may have been told at the same time.
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
    // The next change, or the next look at the page, tries again.
  } finally {
    refreshing = false;
  }
}

async function fetchRegions(kinds) {
  const answer = await fetch(location.href, { headers: unattended, cache: "no-store", redirect: "manual", signal: page.signal });
  // A proxy may answer with a page of its own.
  if (!answer.ok || !answer.headers.has("X-Request-Id")) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const kind of kinds) {
    for (const old of document.querySelectorAll(`[data-live~="${kind}"][id]`)) {
      const young = fresh.getElementById(old.id);
      if (young && !old.isEqualNode(young) && !isBeingUsed(old)) swap(old, young);
    }
  }
}

/** Whether somebody is writing in it. */
const isBeingUsed = (region) =>
  [...region.querySelectorAll("input:not([type=hidden]), textarea, select")].some(
    (field) => field === document.activeElement || (field.defaultValue ?? field.value) !== field.value,
  );

function swap(old, young) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && placeOf(focused, old);
  const open = [...old.querySelectorAll("details[open][id]")].map(({ id }) => id);
  const [x, y] = [scrollX, scrollY];
  const region = document.importNode(young, true);
  old.replaceWith(region);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (place) find(place, region)?.focus({ preventScroll: true });
  scrollTo({ left: x, top: y, behavior: "instant" });
  region.dispatchEvent(new CustomEvent("region-refreshed", { bubbles: true }));
}

/** How to find a control again: by its id, or else as the n-th of its name. */
function placeOf(control, region) {
  if (control.id) return { id: control.id };
  const all = [...region.querySelectorAll(control.localName)];
  return { name: control.localName, at: all.indexOf(control) };
}

const find = ({ id, name, at }, region) => (id ? document.getElementById(id) : region.querySelectorAll(name)[at]);

// --- the stream

async function keepListening(signal, startsLate) {
  let delay = FIRST_DELAY;
  let hasGap = startsLate;
  while (!signal.aborted && !gone()) {
    const opened = performance.now();
    try {
      await listen(either(signal, page.signal), () => {
        if (hasGap) missed();
        hasGap = true;
      });
    } catch (error) {
      // Whatever it was, it is a gap; an abort is our own doing.
      if (error instanceof TypeError) answered(0);
    }
    if (signal.aborted || gone()) return;
    if (performance.now() - opened > 5_000) delay = FIRST_DELAY;
    await wait(delay / 2 + Math.random() * delay);
    delay = Math.min(delay * 2, LAST_DELAY);
  }
}

/** How a request that began at `began` went, for whoever shows it; 0 without an answer of ours. */
const answered = (status, began) => document.dispatchEvent(new CustomEvent("service-answered", { detail: { status, began } }));

/** Reads one stream to its end. */
async function listen(signal, onOpen) {
  const silence = new AbortController();
  let watch = setTimeout(() => silence.abort(), SILENCE);
  const began = performance.now();
  const answer = await fetch("/api/events", {
    headers: { Accept: "text/event-stream" },
    cache: "no-store",
    redirect: "manual",
    signal: either(signal, silence.signal),
  });
  try {
    const type = answer.headers.get("Content-Type") ?? "";
    const isOurs = /^(text\/event-stream|application\/problem\+json)/.test(type);
    answered(isOurs || answer.status >= 500 ? answer.status : 0, began);
    if (answer.status === 401) await leaveIfEnded();
    if (!answer.ok || !isOurs) return;
    onOpen();
    let rest = "";
    for await (const piece of pieces(answer.body)) {
      clearTimeout(watch);
      watch = setTimeout(() => silence.abort(), SILENCE);
      const events = (rest + piece).split("\n\n");
      rest = events.pop();
      events.forEach(read);
    }
  } finally {
    clearTimeout(watch);
  }
}

async function* pieces(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function read(event) {
  const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
  if (fields.event) tell(fields.event, JSON.parse(fields.data || "{}"));
}

// --- one stream a browser

let leading = false;
let leaderAnswered = false;
let stealing = false;
let queue = new AbortController();

async function begin() {
  if (!navigator.locks) return listenWhileSeen();
  await hold({ ifAvailable: true }, false);
  checkLeader();
  while (!gone()) {
    queue = new AbortController();
    const options = stealing ? { steal: true } : { signal: either(queue.signal, page.signal) };
    stealing = false;
    await hold(options, true);
  }
}

/** Only a secure context has locks. Without them each tab listens for itself, while it is seen: browsers keep few connections. */
async function listenWhileSeen() {
  for (let isLate = false; !gone(); isLate = true) {
    if (document.hidden) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
    const hidden = new AbortController();
    document.addEventListener("visibilitychange", () => hidden.abort(), { once: true });
    await keepListening(either(hidden.signal, page.signal), isLate);
  }
}

/** Listens for all tabs while it has the lock. */
async function hold(options, startsLate) {
  const held = new AbortController();
  try {
    await navigator.locks.request("sessile-live", options, async (lock) => {
      if (!lock) return;
      leading = true;
      await keepListening(either(held.signal, page.signal), startsLate);
    });
  } catch {
    // Another tab took the lock, or this one goes.
  } finally {
    leading = false;
    held.abort();
  }
}

/** A leader in the background may have been put to sleep with the lock in its hand. */
async function checkLeader() {
  if (!tabs || !navigator.locks || leading || document.hidden) return;
  leaderAnswered = false;
  tabs.postMessage({ name: "who-leads" });
  await wait(1_000);
  if (leaderAnswered || leading || document.hidden || gone()) return;
  stealing = true;
  queue.abort();
}

if (tabs) {
  tabs.onmessage = ({ data }) => {
    if (data.name === "who-leads" && leading) tabs.postMessage({ name: "leader-here" });
    if (data.name === "leader-here") leaderAnswered = true;
    // A tab from before the last sign-in hears the end of its own session, which need not be this one's.
    if (data.name === "session-ended" && data.of !== session) leaveIfEnded().catch(() => {});
    else hear(data.name, data.told);
  };
}
addEventListener("beforeunload", () => { navigating = Date.now(); });
// Whoever signs out here needs not be told of it.
document.addEventListener("leaving", () => page.abort());
addEventListener("pagehide", () => page.abort());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const kind of [...stale]) refresh(kind);
  checkLeader();
});
// Days and times were written for another zone.
if (zoneHasChanged) refresh("sessions");
begin();

// The dot and the word on every page: whether what is shown and written here has reached the server. Other scripts tell it how
// their requests went (`heard`); while something is wrong it asks by itself now and then.

import { all, changes, here } from "./store.js";
import { isRefused } from "./unkept.js";

const FIRST_DELAY = 3_000;
const LAST_DELAY = 60_000;

const place = document.querySelector("[data-state]");
// The page without a network begins with what made it appear, a page that says what is wrong with that.
let service = place?.dataset.state === "offline" ? "offline" : wasAway() ? "away" : "ok";
let waiting = 0;
let aside = 0;
/** What the outbox says of its last try. */
let standing = "saved";
/** When that was asked for of which `service` is the answer. */
let asOf = 0;
let delay = FIRST_DELAY;
let timer;
let isAsked = false;

function wasAway() {
  return performance.getEntriesByType("navigation")[0]?.responseStatus >= 500;
}

/**
 * The status of an answer to a call of ours, or 0 if somebody else gave it: a network that wants a sign-in of its own answers
 * everything, with a page.
 */
export function standingOf(answer) {
  const isOurs = /^application\/(problem\+)?json/.test(answer.headers.get("Content-Type") ?? "");
  return isOurs || answer.status >= 500 ? answer.status : 0;
}

/**
 * How a request that began at `began` (performance.now) was answered: its status, or 0 if it was not. A state that changes is
 * told as `service-state`. Answers arrive in any order: an older request that contradicts newer news is a reason to ask.
 */
export function heard(status, began = performance.now()) {
  const told = status === 0 ? "offline" : status >= 500 ? "away" : "ok";
  if (began >= asOf) {
    asOf = began;
    set(told);
  } else if (told !== service) {
    probe();
  }
}

function set(news) {
  const changed = news !== service;
  service = news;
  clearTimeout(timer);
  if (service === "ok") {
    delay = FIRST_DELAY;
  } else {
    timer = setTimeout(probe, delay * (0.75 + Math.random() / 2));
    delay = Math.min(delay * 2, LAST_DELAY);
  }
  show();
  if (changed) document.dispatchEvent(new CustomEvent("service-state", { detail: service }));
}

/** Asks whether the service is there, whatever the browser believes of the network. */
export async function probe() {
  clearTimeout(timer);
  const began = performance.now();
  try {
    // With cookies: a proxy before the service may let nobody through without its own.
    const how = { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(10_000) };
    heard(standingOf(await fetch("/readyz", how)), began);
  } catch {
    heard(0, began);
  }
}

/** What the browser says of the network holds from now on, whatever is still on its way. */
function goOffline() {
  asOf = performance.now();
  set("offline");
}

const changesOf = (count) => `${count} ${count === 1 ? "change" : "changes"}`;

function words() {
  const rest = waiting > 0 ? `, ${changesOf(waiting)} waiting` : aside > 0 ? `, ${changesOf(aside)} not saved` : "";
  if (service === "offline") return ["offline", `Offline${rest}`];
  if (service === "away") return ["away", `Can't reach Sessile${rest}`];
  if (waiting > 0 && standing === "signed-out") return ["aside", `Signed out${rest}`];
  if (waiting > 0 && standing === "somebody-else") return ["aside", `Somebody else is signed in${rest}`];
  if (isRefused()) return ["aside", "Not kept on this device"];
  if (waiting > 0) return ["saving", "Saving"];
  if (aside > 0) return ["aside", `${changesOf(aside)} not saved`];
  return ["ok", ""];
}

function show() {
  if (!place) return;
  const [state, text] = words();
  place.dataset.state = state;
  const word = place.querySelector("[data-words]");
  // Where a draft is open, its own line says each time that it is saved: once is enough.
  place.setAttribute("aria-live", document.getElementById("draft-state") ? "off" : "polite");
  if (word.textContent !== text) word.textContent = text;
}

async function count() {
  try {
    const account = document.documentElement.dataset.account ?? (await here());
    const rows = account ? await all("outbox", account) : [];
    aside = rows.filter((each) => each.state === "aside").length;
    waiting = rows.length - aside;
  } catch {
    waiting = aside = 0;
  }
  show();
  keep();
}

/** What is only here and cannot be sent now should not go when the device needs room. */
function keep() {
  if (isAsked || waiting + aside === 0 || (service === "ok" && aside === 0)) return;
  isAsked = true;
  navigator.storage?.persist?.().catch(() => {});
}

addEventListener("online", () => probe());
addEventListener("offline", goOffline);
document.addEventListener("visibilitychange", () => document.hidden || service === "ok" || probe());
document.addEventListener("service-answered", ({ detail }) => heard(detail.status, detail.began));
document.addEventListener("writing-changed", show);
document.addEventListener("service-state", keep);
changes.addEventListener("message", ({ data }) => {
  if (data.standing) {
    standing = data.standing;
    show();
  }
  if (data.stores?.some((name) => name === "outbox" || name === "marks")) count();
});
set(service);
if (service === "ok" && !navigator.onLine) probe();
count();

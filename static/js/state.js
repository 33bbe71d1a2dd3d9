// The status indicator on every page: whether the service can be reached and whether changes made here have been sent.
// Other scripts report the results of their requests (`recordAnswer`). While something is wrong, this script probes the
// service from time to time.

import { serviceName } from "./service-name.js";
import { all, changes, here } from "./store.js";
import { hasStoreFailed } from "./unsaved-text.js";

const FIRST_DELAY = 3_000;
const MAX_DELAY = 60_000;

const indicator = document.querySelector("[data-state]");
// The offline page starts in the state "offline", and a page that answers with a server error in "away".
let service = indicator?.dataset.state === "offline" ? "offline" : wasServerError() ? "away" : "ok";
let waiting = 0;
let aside = 0;
/** The result of the outbox's last attempt, see outbox-sync.js. */
let standing = "saved";
/** When the request was sent whose answer decided `service` (performance.now). */
let asOf = 0;
let delay = FIRST_DELAY;
let timer;
let isPersistenceRequested = false;

function wasServerError() {
  return performance.getEntriesByType("navigation")[0]?.responseStatus >= 500;
}

/**
 * The status of an answer from Sessile, or 0 if something else answered: a network with its own sign-in page answers
 * every request with that page.
 */
export function statusOf(answer) {
  const isOurs = /^application\/(problem\+)?json/.test(answer.headers.get("Content-Type") ?? "");
  return isOurs || answer.status >= 500 ? answer.status : 0;
}

/**
 * Records the status of the answer to a request sent at `began` (performance.now), or 0 if there was none. A change of
 * state is announced as `service-state`. Answers arrive in any order: if an older request contradicts a newer answer,
 * the service is probed.
 */
export function recordAnswer(status, began = performance.now()) {
  const result = status === 0 ? "offline" : status >= 500 ? "away" : "ok";
  if (began >= asOf) {
    asOf = began;
    setService(result);
  } else if (result !== service) {
    probe();
  }
}

function setService(state) {
  const changed = state !== service;
  service = state;
  clearTimeout(timer);
  if (service === "ok") {
    delay = FIRST_DELAY;
  } else {
    timer = setTimeout(probe, delay * (0.75 + Math.random() / 2));
    delay = Math.min(delay * 2, MAX_DELAY);
  }
  show();
  if (changed) document.dispatchEvent(new CustomEvent("service-state", { detail: service }));
}

/** Probes the service, whatever the browser says about the network. */
export async function probe() {
  clearTimeout(timer);
  const began = performance.now();
  try {
    // Send cookies: a proxy in front of the service may reject requests without its own cookie.
    const options = { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(10_000) };
    recordAnswer(statusOf(await fetch("/readyz", options)), began);
  } catch {
    recordAnswer(0, began);
  }
}

/** The browser reports that the network is gone. That overrides the answers to requests already sent. */
function goOffline() {
  asOf = performance.now();
  setService("offline");
}

const changesOf = (count) => `${count} ${count === 1 ? "change" : "changes"}`;

function words() {
  const rest = waiting > 0 ? `, ${changesOf(waiting)} waiting` : aside > 0 ? `, ${changesOf(aside)} not saved` : "";
  if (service === "offline") return ["offline", `Offline${rest}`];
  if (service === "away") return ["away", `Can't reach ${serviceName}${rest}`];
  if (waiting > 0 && standing === "signed-out") return ["aside", `Signed out${rest}`];
  if (waiting > 0 && standing === "somebody-else") return ["aside", `Somebody else is signed in${rest}`];
  if (hasStoreFailed()) return ["aside", "Not kept on this device"];
  if (waiting > 0) return ["saving", "Saving"];
  if (aside > 0) return ["aside", `${changesOf(aside)} not saved`];
  return ["ok", ""];
}

function show() {
  if (!indicator) return;
  const [state, text] = words();
  indicator.dataset.state = state;
  const word = indicator.querySelector("[data-words]");
  // An open draft announces in its own line that it is saved. Once is enough.
  indicator.setAttribute("aria-live", document.getElementById("draft-state") ? "off" : "polite");
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
  requestPersistence();
}

/** Asks the browser not to delete unsent changes when the device runs out of space. */
function requestPersistence() {
  if (isPersistenceRequested || waiting + aside === 0 || (service === "ok" && aside === 0)) return;
  isPersistenceRequested = true;
  navigator.storage?.persist?.().catch(() => {});
}

addEventListener("online", () => probe());
addEventListener("offline", goOffline);
document.addEventListener("visibilitychange", () => document.hidden || service === "ok" || probe());
document.addEventListener("service-answered", ({ detail }) => recordAnswer(detail.status, detail.began));
document.addEventListener("writing-changed", show);
document.addEventListener("service-state", requestPersistence);
changes.addEventListener("message", ({ data }) => {
  if (data.standing) {
    standing = data.standing;
    show();
  }
  if (data.stores?.some((name) => name === "outbox" || name === "marks")) count();
});
setService(service);
if (service === "ok" && !navigator.onLine) probe();
count();

// The dot and the word in the header: whether what is shown and written here has reached the server. Other scripts tell it how
// their requests went (`heard`); while something is wrong it asks by itself now and then.

import { all, changes, here } from "./store.js";

const FIRST_DELAY = 3_000;
const LAST_DELAY = 60_000;

const place = document.querySelector("[data-state]");
// The page without a network begins with what made it appear.
let service = navigator.onLine && place?.dataset.state !== "offline" ? "ok" : "offline";
let unsent = 0;
let delay = FIRST_DELAY;
let timer;

/** How a request was answered: its status, or 0 if it was not. A state that changes is told as `service-state`. */
export function heard(status) {
  set(status === 0 ? "offline" : status >= 500 ? "away" : "ok");
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

/** Asks whether the service is there. */
export async function probe() {
  clearTimeout(timer);
  if (!navigator.onLine) return set("offline");
  try {
    const answer = await fetch("/readyz", { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(10_000) });
    heard(answer.status);
  } catch {
    heard(0);
  }
}

function words() {
  const count = `${unsent} ${unsent === 1 ? "change" : "changes"} waiting`;
  if (service === "offline") return unsent > 0 ? ["offline", `Offline, ${count}`] : ["offline", "Offline"];
  if (service === "away") return ["away", unsent > 0 ? `The service is away, ${count}` : "The service is away"];
  return unsent > 0 ? ["saving", "Saving"] : ["ok", "Online, saved"];
}

function show() {
  if (!place) return;
  const [state, text] = words();
  place.dataset.state = state;
  const word = place.querySelector("[data-words]");
  if (word.textContent !== text) word.textContent = text;
}

async function count() {
  try {
    const account = await here();
    // What was set aside does not wait: it is shown where it was written.
    unsent = account ? (await all("outbox", account)).filter((each) => each.state !== "aside").length : 0;
  } catch {
    unsent = 0;
  }
  show();
}

addEventListener("online", () => probe());
addEventListener("offline", () => set("offline"));
document.addEventListener("visibilitychange", () => document.hidden || service === "ok" || probe());
document.addEventListener("service-answered", ({ detail }) => heard(detail.status));
changes.addEventListener("message", ({ data }) => {
  if (data.stores?.some((name) => name === "outbox" || name === "marks")) count();
});
set(service);
count();

// The offline page: what this browser stored about the person who was signed in, and when. None of it is verified.

import { changes, pendingSignOuts } from "./store.js";
import { signOutOffline } from "./offline-sign-out.js";
import { endOf, knownPerson, timeLeft } from "./known-person.js";
import { confirmSignOut } from "./confirm-sign-out.js";
import { serviceName } from "./service-name.js";
import { probe } from "./state.js";
import { hasUnsavedText } from "./unsaved-text.js";

const part = (name) => document.querySelector(`[data-part="${name}"]`);
const parts = ["unknown", "left", "expired", "person"];
const MINUTE = 60_000;

const drafts = document.getElementById("drafts");

let person = null;

async function update() {
  person = await knownPerson();
  if (!person) return show((await pendingSignOuts()).length > 0 ? "left" : "unknown");
  if (timeLeft(person) === 0) return show("expired");
  draw();
  show("person");
}

function show(name) {
  for (const each of parts) part(each).hidden = each !== name;
  const wasHidden = drafts.hidden;
  // The drafts, which drafts.js draws, belong to the person too.
  drafts.hidden = name !== "person";
  part("sign-out").hidden = name !== "person";
  if (drafts.hidden) clear();
  else if (wasHidden) changes.dispatchEvent(new MessageEvent("message", { data: {} }));
}

/** Removes the person's data from the document, so that it is not merely hidden. */
function clear() {
  part("name").textContent = "";
  part("devices").replaceChildren();
  drafts.replaceChildren();
}

new MutationObserver(() => { if (drafts.hidden && drafts.hasChildNodes()) drafts.replaceChildren(); }).observe(drafts, { childList: true });

function draw() {
  part("name").textContent = firstName(person.name);
  setTime(part("until"), new Date(endOf(person)).toISOString());
  setTime(part("as-of"), person.asOf);
  setTime(part("drafts-as-of"), person.draftsAsOf);
  part("drafts-known").hidden = !person.draftsAsOf;
  part("drafts-unknown").hidden = Boolean(person.draftsAsOf);
  drafts.classList.toggle("not-known", !person.draftsAsOf);
  setTime(part("devices-as-of"), person.devicesAsOf);
  part("devices").replaceChildren(...(person.devices ?? []).map(row));
  document.dispatchEvent(new Event("region-refreshed"));
}

function row(device) {
  const item = part("device").content.cloneNode(true);
  item.querySelector("b").textContent = device.name;
  item.querySelector(".tag").hidden = !device.current;
  const tiles = [...item.querySelectorAll(".tile")];
  const own = tiles.find(({ dataset }) => dataset.kind === device.client?.kind) ?? tiles.at(-1);
  for (const tile of tiles) if (tile !== own) tile.remove();
  setTime(item.querySelector("time"), device.lastSeen);
  return item;
}

/** The first word of a name, as in the dashboard's greeting. */
const firstName = (name) => name.trim().split(/\s+/)[0];

function setTime(time, moment) {
  time.dateTime = moment ?? "";
}

async function signOut() {
  const { id, sessionId } = person;
  if (!(await confirmSignOut(id))) return;
  await signOutOffline([sessionId], id);
  await update();
  part("left").querySelector("h1").focus();
  probe();
}

/** Whether the person is writing on this page. If so, only they decide when it reloads. */
const isWriting = () => hasUnsavedText() || (document.activeElement?.matches("textarea, input, [contenteditable]") ?? false);

const reload = () => (location.pathname === "/offline" ? location.replace("/") : location.reload());

const RELOADS_KEY = "sessile-again";
const MIN_RELOAD_INTERVAL = 20_000;
const MAX_RELOAD_INTERVAL = 10 * MINUTE;

/** Reloads less and less often: on an unstable network the page would otherwise reload over and over. */
function reloadAutomatically() {
  const { at = 0, wait = 0 } = JSON.parse(sessionStorage.getItem(RELOADS_KEY) ?? "{}");
  const since = Date.now() - at;
  if (isWriting() || since < wait) return;
  const next = since > 2 * MAX_RELOAD_INTERVAL ? MIN_RELOAD_INTERVAL : Math.min(Math.max(2 * wait, MIN_RELOAD_INTERVAL), MAX_RELOAD_INTERVAL);
  sessionStorage.setItem(RELOADS_KEY, JSON.stringify({ at: Date.now(), wait: next }));
  reload();
}

/**
 * Shows the requested page if its answer still arrives. The worker holds the answer until this page reloads. Resolves
 * to whether it arrived; the service is probed only if it did not.
 */
async function showLateAnswer() {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return false;
  const { port1, port2 } = new MessageChannel();
  const result = await new Promise((resolve) => {
    const timer = setTimeout(resolve, 2_000);
    port1.onmessage = ({ data }) => {
      clearTimeout(timer);
      if (data !== "wait") resolve(data);
    };
    worker.postMessage({ name: "awaited" }, [port2]);
  });
  if (result !== "here") return false;
  part("back").hidden = false;
  if (!isWriting()) reload();
  return true;
}

const WORDS = { offline: "You are offline", away: `Can't reach ${serviceName}` };

/** Names the problem, if it is known. */
function showProblem(problem) {
  const words = WORDS[problem];
  for (const place of words ? document.querySelectorAll("[data-what]") : []) if (place.textContent !== words) place.textContent = words;
}

part("sign-out").addEventListener("click", () => signOut().catch(() => {}));
for (const button of document.querySelectorAll("[data-again]")) button.addEventListener("click", reload);
document.addEventListener("service-state", ({ detail }) => {
  showProblem(detail);
  part("back").hidden = detail !== "ok";
  if (detail === "ok") reloadAutomatically();
});
changes.addEventListener("message", ({ data }) => {
  if (data.stores?.some((each) => each === "people" || each === "marks")) update().catch(() => show("unknown"));
});
setInterval(() => update().catch(() => {}), MINUTE);
update().catch(() => show("unknown"));
// This page is shown because a request failed a moment ago, so probe the service.
showLateAnswer().catch(() => false).then((isShown) => isShown || probe());

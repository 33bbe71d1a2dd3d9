// The page without a network: what this browser knows of who was signed in here, and since when. Nothing of it is verified.

import { changes, goodbyes } from "./store.js";
import { sayGoodbye } from "./goodbye.js";
import { known, timeLeft } from "./known.js";
import { confirmLeaving } from "./leaving.js";
import { probe } from "./state.js";
import { isUnkept } from "./unkept.js";

const part = (name) => document.querySelector(`[data-part="${name}"]`);
const parts = ["unknown", "left", "expired", "person"];
const MINUTE = 60_000;

const drafts = document.getElementById("drafts");

let person = null;

async function look() {
  person = await known();
  if (!person) return show((await goodbyes()).length > 0 ? "left" : "unknown");
  const left = timeLeft(person);
  if (left === 0) return show("expired");
  draw(left);
  show("person");
}

function show(name) {
  for (const each of parts) part(each).hidden = each !== name;
  const wasHidden = drafts.hidden;
  // What others draw is of the person too.
  drafts.hidden = name !== "person";
  part("sign-out").hidden = name !== "person";
  if (drafts.hidden) empty();
  else if (wasHidden) changes.dispatchEvent(new MessageEvent("message", { data: {} }));
}

/** What is not to be seen is not there either. */
function empty() {
  part("name").textContent = "";
  part("devices").replaceChildren();
  drafts.replaceChildren();
}

new MutationObserver(() => { if (drafts.hidden && drafts.hasChildNodes()) drafts.replaceChildren(); }).observe(drafts, { childList: true });

function draw(left) {
  part("name").textContent = firstName(person.name);
  part("left-time").textContent = inWords(left);
  asOf(part("as-of"), person.asOf);
  asOf(part("drafts-as-of"), person.draftsAsOf);
  part("drafts-known").hidden = !person.draftsAsOf;
  part("drafts-unknown").hidden = Boolean(person.draftsAsOf);
  drafts.classList.toggle("not-known", !person.draftsAsOf);
  asOf(part("devices-as-of"), person.devicesAsOf);
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
  asOf(item.querySelector("time"), device.lastSeen);
  return item;
}

/** As the dashboard greets people. */
const firstName = (name) => name.trim().split(/\s+/)[0];

function asOf(time, moment) {
  time.dateTime = moment ?? "";
}

/** Rounded as the dashboard does it (src/dashboard/pictures.rs), so that both say the same of the same time. */
function inWords(time) {
  const minutes = time / MINUTE;
  const [length, unit] = minutes < 120 ? [1, "minute"] : minutes < 144 * 60 ? [60, "hour"] : [1440, "day"];
  const count = Math.max(1, Math.round(minutes / length));
  return new Intl.NumberFormat("en", { style: "unit", unit, unitDisplay: "long" }).format(count);
}

async function signOut() {
  const { id, sessionId } = person;
  if (!(await confirmLeaving(id))) return;
  await sayGoodbye([sessionId], id);
  await look();
  part("left").querySelector("h1").focus();
  probe();
}

/** Whether somebody is writing here: then only they say when the page is loaded again. */
const isWriting = () => isUnkept() || (document.activeElement?.matches("textarea, input, [contenteditable]") ?? false);

const goOn = () => (location.pathname === "/offline" ? location.replace("/") : location.reload());

const AGAIN = "sessile-again";
const FIRST_WAIT = 20_000;
const LAST_WAIT = 10 * MINUTE;

/** By itself more and more seldom: a network that comes and goes would load the page over and over. */
function goOnByItself() {
  const { at = 0, wait = 0 } = JSON.parse(sessionStorage.getItem(AGAIN) ?? "{}");
  const since = Date.now() - at;
  if (isWriting() || since < wait) return;
  const next = since > 2 * LAST_WAIT ? FIRST_WAIT : Math.min(Math.max(2 * wait, FIRST_WAIT), LAST_WAIT);
  sessionStorage.setItem(AGAIN, JSON.stringify({ at: Date.now(), wait: next }));
  goOn();
}

/** The page that was asked for may still come. The worker keeps it until it is asked for again; nothing else is tried meanwhile. */
async function isComing() {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return false;
  const { port1, port2 } = new MessageChannel();
  const word = await new Promise((done) => {
    const silent = setTimeout(done, 2_000);
    port1.onmessage = ({ data }) => {
      clearTimeout(silent);
      if (data !== "wait") done(data);
    };
    worker.postMessage({ name: "awaited" }, [port2]);
  });
  if (word !== "here") return false;
  part("back").hidden = false;
  if (!isWriting()) goOn();
  return true;
}

const WORDS = { offline: "You are offline", away: "Can't reach Sessile" };

/** Says what is wrong, as far as that is known. */
function name(what) {
  const words = WORDS[what];
  for (const place of words ? document.querySelectorAll("[data-what]") : []) if (place.textContent !== words) place.textContent = words;
}

part("sign-out").addEventListener("click", () => signOut().catch(() => {}));
for (const button of document.querySelectorAll("[data-again]")) button.addEventListener("click", goOn);
document.addEventListener("service-state", ({ detail }) => {
  name(detail);
  part("back").hidden = detail !== "ok";
  if (detail === "ok") goOnByItself();
});
changes.addEventListener("message", ({ data }) => {
  if (data.stores?.some((each) => each === "people" || each === "marks")) look().catch(() => show("unknown"));
});
setInterval(() => look().catch(() => {}), MINUTE);
look().catch(() => show("unknown"));
// That this page is shown says that something was wrong a moment ago.
isComing().catch(() => false).then((comes) => comes || probe());

// The page without a network: what this browser knows of who was signed in here, and since when. Nothing of it is verified.

import { changes, get, goodbyes, here } from "./store.js";
import { sayGoodbye } from "./goodbye.js";
import { confirmLeaving } from "./leaving.js";
import { probe } from "./state.js";

const part = (name) => document.querySelector(`[data-part="${name}"]`);
const parts = ["unknown", "left", "expired", "person"];
const MINUTE = 60_000;

let person = null;

async function look() {
  const account = await here();
  person = account ? ((await get("people", account)) ?? null) : null;
  const owed = await goodbyes();
  if (person && owed.includes(person.sessionId)) person = null;
  if (!person) return show(owed.length > 0 ? "left" : "unknown");
  const end = Math.min(Date.parse(person.expiresAt), Date.parse(person.absoluteExpiresAt));
  if (!(end > Date.now())) return show("expired");
  draw(end);
  show("person");
}

function show(name) {
  for (const each of parts) part(each).hidden = each !== name;
  // What others draw is of the person too.
  document.getElementById("drafts").hidden = name !== "person";
  part("sign-out").hidden = name !== "person";
}

function draw(end) {
  part("name").textContent = person.name;
  part("left-time").textContent = inWords(end - Date.now());
  asOf(part("as-of"), person.asOf);
  asOf(part("drafts-as-of"), person.asOf);
  asOf(part("devices-as-of"), person.devicesAsOf);
  part("devices").replaceChildren(...(person.devices ?? []).map(row));
  document.dispatchEvent(new Event("region-refreshed"));
}

function row(device) {
  const item = part("device").content.cloneNode(true);
  item.querySelector("b").textContent = device.name;
  item.querySelector(".tag").hidden = !device.current;
  asOf(item.querySelector("time"), device.lastSeen);
  return item;
}

function asOf(time, moment) {
  time.dateTime = moment ?? "";
}

function inWords(time) {
  const minutes = Math.max(1, Math.floor(time / MINUTE));
  const [count, unit] =
    minutes < 60 ? [minutes, "minute"] : minutes < 96 * 60 ? [Math.floor(minutes / 60), "hour"] : [Math.floor(minutes / 1440), "day"];
  return new Intl.NumberFormat("en", { style: "unit", unit, unitDisplay: "long" }).format(count);
}

async function signOut() {
  const { id, sessionId } = person;
  if (!(await confirmLeaving(id))) return;
  await sayGoodbye(sessionId, id);
  await look();
  part("left").querySelector("h1").focus();
  probe();
}

/** Whether somebody is writing here: then only they say when the page is loaded again. */
const isWriting = () => document.activeElement?.matches("textarea, input, [contenteditable]") ?? false;

const goOn = () => (location.pathname === "/offline" ? location.replace("/") : location.reload());

/** By itself only once in a while: a network that comes and goes would load the page over and over. */
function goOnByItself() {
  const last = Number(sessionStorage.getItem("sessile-again"));
  if (isWriting() || Date.now() - last < 20_000) return;
  sessionStorage.setItem("sessile-again", Date.now());
  goOn();
}

part("sign-out").addEventListener("click", () => signOut().catch(() => {}));
for (const button of document.querySelectorAll("[data-again]")) button.addEventListener("click", goOn);
document.addEventListener("service-state", ({ detail }) => {
  part("back").hidden = detail !== "ok";
  if (detail === "ok") goOnByItself();
});
changes.addEventListener("message", ({ data }) => {
  if (data.stores?.some((name) => name === "people" || name === "marks")) look().catch(() => show("unknown"));
});
setInterval(() => look().catch(() => {}), MINUTE);
look().catch(() => show("unknown"));
// That this page is shown says that something was wrong a moment ago.
probe();

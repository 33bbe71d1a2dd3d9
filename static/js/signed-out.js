// Replaces a page after an offline sign-out. Where a worker is installed, the offline page takes over. Elsewhere (a
// plain-http address, a browser without workers) no other page can be loaded. There this script draws a page of its own
// and finishes the sign-out on the server as soon as it can be reached.

import { finishSignOuts } from "./offline-sign-out.js";
import { serviceName } from "./service-name.js";
import { probe } from "./state.js";

const FIRST_DELAY = 3_000;
const MAX_DELAY = 60_000;

let isShown = false;
let delay = FIRST_DELAY;
let timer;

export async function showSignedOut() {
  const registration = await navigator.serviceWorker?.getRegistration().catch(() => undefined);
  if (registration?.active) return location.replace("/offline");
  if (isShown) return;
  isShown = true;
  draw();
  document.addEventListener("service-state", ({ detail }) => { if (detail === "ok") finish(); });
  addEventListener("online", finish);
  probe();
  finish();
}

function draw() {
  const { dataset } = document.documentElement;
  delete dataset.session;
  delete dataset.account;
  document.title = `Signed out · ${serviceName}`;
  const head = document.createElement("h1");
  head.tabIndex = -1;
  head.textContent = "You are signed out on this device";
  const text = document.createElement("p");
  text.className = "lead";
  text.textContent = "What was kept on this device is gone. As soon as there is a network, the sign-out is finished on the server too.";
  const link = document.createElement("a");
  Object.assign(link, { className: "button main wide", href: "/login", textContent: "Sign in" });
  const card = document.createElement("div");
  card.className = "card lone problem";
  card.append(head, text, link);
  const main = document.createElement("main");
  main.id = "main";
  main.append(card, ...document.querySelectorAll("[data-state]"));
  document.body.className = "quiet";
  document.body.replaceChildren(main);
  head.focus();
}

/** Ends the session on the server. Retries less and less often until that is done. */
async function finish() {
  clearTimeout(timer);
  const outcome = await finishSignOuts().catch(() => "offline");
  if (outcome === "done") return location.replace("/login?done=signed-out");
  clearTimeout(timer);
  timer = setTimeout(finish, delay);
  delay = Math.min(delay * 2, MAX_DELAY);
}

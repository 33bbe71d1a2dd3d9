// What a page becomes when somebody has signed out of it without a network. Where a worker is installed, the page without a
// network says so; elsewhere (a plain-http address, a browser that allows no workers) nothing could show another page, so
// this one shows it itself, and finishes the sign-out on the server as soon as that can be reached.

import { carryOut } from "./goodbye.js";
import { probe } from "./state.js";

const FIRST_DELAY = 3_000;
const LAST_DELAY = 60_000;

let isShown = false;
let delay = FIRST_DELAY;
let timer;

export async function showSignedOut() {
  const known = await navigator.serviceWorker?.getRegistration().catch(() => undefined);
  if (known?.active) return location.replace("/offline");
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
  document.title = "Signed out · Sessile";
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

/** Ends the session on the server; until that is done it is tried again, more and more seldom. */
async function finish() {
  clearTimeout(timer);
  const came = await carryOut().catch(() => "offline");
  if (came === "done") return location.replace("/login");
  clearTimeout(timer);
  timer = setTimeout(finish, delay);
  delay = Math.min(delay * 2, LAST_DELAY);
}

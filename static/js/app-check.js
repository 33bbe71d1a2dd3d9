// While no request has reached an app's gate, looks again every few seconds, and then shows that the set-up works.
import { isSessionEnded, pauseLeft, requestSignal } from "./background-requests.js";

const INTERVAL = 3_000;
const TIMEOUT = 10_000;
/** Whoever has left the page open for this long looks again by its link. */
const PATIENCE = 30 * 60_000;
const began = performance.now();

const region = () => document.getElementById("app-check");
const isWaiting = () => region()?.dataset.state === "waiting" && !isSessionEnded() && performance.now() - began < PATIENCE;

async function look() {
  const options = { headers: { "X-Unattended": "1" }, cache: "no-store", redirect: "manual", signal: requestSignal(TIMEOUT) };
  const answer = await fetch(region().dataset.page, options);
  // A proxy may have answered with its own page.
  if (!answer.ok || !answer.headers.has("X-Request-Id")) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = page.getElementById("app-check");
  if (!found || found.dataset.state === "waiting") return;
  const shown = document.importNode(found, true);
  region().replaceWith(shown);
  shown.dispatchEvent(new CustomEvent("region-refreshed", { bubbles: true }));
}

async function lookLater() {
  await new Promise((done) => setTimeout(done, INTERVAL));
  // Without the network the next look may succeed.
  if (isWaiting() && !document.hidden && pauseLeft() === 0) await look().catch(() => {});
  if (isWaiting()) lookLater();
}

if (isWaiting()) {
  // The page looks by itself, so its link is not needed.
  const link = region().querySelector("[data-reload]");
  if (link) link.hidden = true;
  lookLater();
}

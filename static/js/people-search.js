// Searches the list of people while its field is typed in. Without this script the form does the same.
import { isSessionEnded, requestSignal } from "./background-requests.js";

const DELAY = 200;
const TIMEOUT = 10_000;
const form = document.querySelector("[data-people-search]");
const field = form?.elements.query;
let timer;
let asked = field?.value.trim();

async function search() {
  const query = field.value.trim();
  if (query === asked || isSessionEnded()) return;
  asked = query;
  const address = query ? `${form.action}?${new URLSearchParams({ query })}` : form.action;
  const answer = await fetch(address, { cache: "no-store", redirect: "manual", signal: requestSignal(TIMEOUT) });
  // A proxy may have answered with its own page.
  if (!answer.ok || !answer.headers.has("X-Request-Id")) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = page.getElementById("people-list");
  // The person may have typed on meanwhile.
  if (!found || asked !== query) return;
  const shown = document.importNode(found, true);
  const words = shown.querySelector("[data-found]")?.textContent ?? "";
  const list = document.getElementById("people-list");
  const status = list.querySelector("[data-found]");
  // A status that is replaced is not read out, so the one on the page stays.
  if (status) {
    shown.querySelector("[data-found]")?.replaceWith(status);
    status.textContent = words;
  }
  list.replaceWith(shown);
  shown.dispatchEvent(new CustomEvent("region-refreshed", { bubbles: true }));
  history.replaceState(history.state, "", address);
}

field?.addEventListener("input", () => {
  clearTimeout(timer);
  // Without the network the button says what is wrong.
  timer = setTimeout(() => search().catch(() => (asked = undefined)), DELAY);
});

// Signing out takes what this browser knows of the person with it. What has not been sent is named first. All that it needs
// is here before the button is pressed: without a network and a worker nothing more can be loaded.

import { sayGoodbye } from "./goodbye.js";
import { confirmLeaving } from "./leaving.js";
import { flush, serve } from "./outbox.js";
import { showSignedOut } from "./signed-out.js";
import { change, forget, get, here, waiting } from "./store.js";
import { keepWriting } from "./unkept.js";

const TIMEOUT = 10_000;

for (const form of document.querySelectorAll('form[action="/logout"]')) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    leave(form, button).catch(() => form.submit());
  });
}

async function leave(form, button) {
  const { account: shown, session } = document.documentElement.dataset;
  const account = shown ?? (await here().catch(() => undefined));
  const busy = say(button, "Signing out");
  const isAsked = account && (!(await keepWriting()) || (await isUnsent(account)));
  const isStaying = isAsked && !(await confirmLeaving(account));
  if (isStaying) return busy.over();
  // Another tab may have got the session a new id since this page was shown, or this page one that is not known yet.
  const known = account && (await get("people", account).catch(() => undefined))?.sessionId;
  const ids = [...new Set([session, known])].filter(Boolean);
  document.dispatchEvent(new Event("leaving"));
  // Should this page be gone before it is done, the next one does it. Where there is no room for that, it goes without.
  const mark = { name: "leaving", value: { account, sessionId: known ?? session, at: new Date().toISOString() } };
  if (account) await change("marks", ({ marks }) => marks.put(mark)).catch(() => {});
  const came = await send(form);
  if (came === "question") {
    await change("marks", ({ marks }) => marks.delete("leaving")).catch(() => {});
    return form.submit();
  }
  if (came === "done" || ids.length === 0) {
    if (account) await forget(account).catch(() => {});
    return came === "done" ? location.replace("/login") : form.submit();
  }
  await sayGoodbye(ids, account);
  await showSignedOut();
}

/** Whether something of the account is not sent, after a try. */
async function isUnsent(account) {
  // What cannot be read cannot be named.
  if ((await waiting(account).catch(() => 0)) === 0) return false;
  await serve(account);
  await Promise.race([flush(), new Promise((late) => { setTimeout(late, 3_000); })]);
  return (await waiting(account)) > 0;
}

/** "done"; "question" if the server wants to ask first; else undefined: nobody can tell. */
async function send(form) {
  try {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.action, { method: "POST", body, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
    if (answer.type === "opaqueredirect") return (await isSignedOut()) ? "done" : undefined;
    return answer.status < 500 && answer.headers.has("X-Request-Id") ? "question" : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Where a redirect leads is not to be seen: it may be that of a proxy which wants a sign-in of its own. Our login shows itself
 * only to who is not signed in any more.
 */
async function isSignedOut() {
  const how = { headers: { "X-Unattended": "1" }, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) };
  const answer = await fetch("/login", how);
  return answer.status === 200 && answer.headers.has("X-Request-Id");
}

/** The button says what is going on, and cannot be pressed again meanwhile. */
function say(button, words) {
  const place = button.querySelector("span") ?? button;
  const before = place.textContent;
  place.textContent = words;
  button.disabled = true;
  return {
    over() {
      place.textContent = before;
      button.disabled = false;
      button.focus();
    },
  };
}

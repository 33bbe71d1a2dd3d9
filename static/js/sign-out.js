// Signs out and erases what this browser stores about the person. Unsent changes are named first. Everything this needs
// is loaded before the button is pressed: without a network and a worker nothing can be loaded later.

import { signOutOffline } from "./offline-sign-out.js";
import { confirmSignOut } from "./confirm-sign-out.js";
import { flush, serve } from "./outbox.js";
import { showSignedOut } from "./signed-out.js";
import { change, forget, get, here, waiting } from "./store.js";
import { saveWriting } from "./unsaved-text.js";

const TIMEOUT = 10_000;

for (const form of document.querySelectorAll('form[action="/logout"]')) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    signOut(form, button).catch(() => form.submit());
  });
}

async function signOut(form, button) {
  const { account: pageAccount, session } = document.documentElement.dataset;
  const account = pageAccount ?? (await here().catch(() => undefined));
  const busy = setBusy(button, "Signing out");
  const mustAsk = account && (!(await saveWriting()) || (await isUnsent(account)));
  const isCancelled = mustAsk && !(await confirmSignOut(account));
  if (isCancelled) return busy.end();
  // The session may have a newer id than this page knows: another tab, or a request of this page, may have rotated it.
  const storedSession = account && (await get("people", account).catch(() => undefined))?.sessionId;
  const ids = [...new Set([session, storedSession])].filter(Boolean);
  document.dispatchEvent(new Event("leaving"));
  // If this page closes before the sign-out is done, the next page completes it. If there is no room for the mark, go
  // on without it.
  const mark = { name: "leaving", value: { account, sessionId: storedSession ?? session, at: new Date().toISOString() } };
  if (account) await change("marks", ({ marks }) => marks.put(mark)).catch(() => {});
  const outcome = await submitSignOut(form);
  if (outcome === "question") {
    await change("marks", ({ marks }) => marks.delete("leaving")).catch(() => {});
    return form.submit();
  }
  if (outcome === "done" || ids.length === 0) {
    if (account) await forget(account).catch(() => {});
    return outcome === "done" ? location.replace(loginAddress(form)) : form.submit();
  }
  await signOutOffline(ids, account);
  await showSignedOut();
}

/** The login page; where the form has `next`, for a person who goes on to that address with another account. */
function loginAddress(form) {
  const next = new FormData(form).get("next");
  return next ? `/login?next=${encodeURIComponent(next)}&done=signed-out` : "/login?done=signed-out";
}

/** Whether the account has unsent changes after an attempt to send them. */
async function isUnsent(account) {
  // If the store cannot be read, its changes cannot be named.
  if ((await waiting(account).catch(() => 0)) === 0) return false;
  await serve(account);
  await Promise.race([flush(), new Promise((resolve) => { setTimeout(resolve, 3_000); })]);
  return (await waiting(account)) > 0;
}

/**
 * Resolves to "done"; to "question" if the server asks the person something first; or to undefined if the result is
 * unknown.
 */
async function submitSignOut(form) {
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
 * Scripts cannot see where a redirect leads; it may be a proxy's own sign-in. Only a signed-out browser gets the login
 * page with status 200.
 */
async function isSignedOut() {
  const options = { headers: { "X-Unattended": "1" }, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) };
  const answer = await fetch("/login", options);
  return answer.status === 200 && answer.headers.has("X-Request-Id");
}

/** Shows progress on the button and disables it. */
function setBusy(button, words) {
  const label = button.querySelector("span") ?? button;
  const previous = label.textContent;
  label.textContent = words;
  button.disabled = true;
  return {
    end() {
      label.textContent = previous;
      button.disabled = false;
      button.focus();
    },
  };
}

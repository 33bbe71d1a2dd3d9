// Signing out takes what this browser knows of the person with it. What has not been sent is named first.

import { change, forget, get, here, waiting } from "./store.js";

for (const form of document.querySelectorAll('form[action="/logout"]')) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    leave(form).catch(() => form.submit());
  });
}

async function leave(form) {
  const account = document.documentElement.dataset.account ?? (await here());
  const hasMore = account && (await isUnsent(account));
  if (hasMore && !(await (await import("./leaving.js")).confirmLeaving(account))) return;
  // Another tab may have got the session a new id since this page was shown.
  const sessionId = (account && (await get("people", account))?.sessionId) ?? document.documentElement.dataset.session;
  document.dispatchEvent(new Event("leaving"));
  // Should this page be gone before it is done, the next one does it.
  if (account) await change("marks", ({ marks }) => marks.put({ name: "leaving", value: { account, sessionId, at: new Date().toISOString() } }));
  const answer = await send(form);
  if (answer?.type === "opaqueredirect") {
    if (account) await forget(account);
    location.replace("/login");
  } else if (answer && answer.status < 500) {
    // The server has a question.
    await change("marks", ({ marks }) => marks.delete("leaving"));
    form.submit();
  } else if (sessionId) {
    await (await import("./goodbye.js")).sayGoodbye(sessionId, account);
    location.replace("/offline");
  } else {
    form.submit();
  }
}

/** Whether something of the account is not sent, after a try. */
async function isUnsent(account) {
  if ((await waiting(account)) === 0) return false;
  const { flush, serve } = await import("./outbox.js");
  await serve(account);
  await Promise.race([flush(), new Promise((late) => { setTimeout(late, 3_000); })]);
  return (await waiting(account)) > 0;
}

const send = (form) =>
  fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual", cache: "no-store" })
    .catch(() => undefined);

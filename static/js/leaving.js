// The question before somebody leaves who has written what nobody else has yet.

import { all } from "./store.js";

/** Whether to go on: at once if nothing of the account is unsent, else as the person says. */
export async function confirmLeaving(account) {
  // Several changes may be waiting of one draft.
  const unsent = new Set((await all("outbox", account)).map(({ op }) => op.draftId ?? op.id)).size;
  if (unsent === 0) return true;
  const dialog = document.createElement("dialog");
  dialog.className = "card leaving";
  dialog.setAttribute("aria-labelledby", "leaving-head");
  const head = document.createElement("h2");
  head.id = "leaving-head";
  head.textContent = unsent === 1 ? "1 draft has not been sent" : `${unsent} drafts have not been sent`;
  const text = document.createElement("p");
  text.textContent = "They are only on this device. If you sign out now, they are gone.";
  const form = document.createElement("form");
  form.method = "dialog";
  form.append(button("stay", "Stay signed in", "button wide"), button("leave", "Sign out anyway", "button ends wide"));
  dialog.append(head, text, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue === "leave");
    });
  });
}

function button(value, label, classes) {
  const made = document.createElement("button");
  Object.assign(made, { value, className: classes, textContent: label });
  return made;
}

// The question before somebody leaves who has written what nobody else has yet.

import { all } from "./store.js";
import { keepWriting } from "./unkept.js";

/** Whether to go on: at once if nothing of the account is unsent, else as the person says. */
export async function confirmLeaving(account) {
  // What cannot be kept is nowhere but in its field.
  const isKept = await keepWriting();
  const unsent = inWords(await all("outbox", account).catch(() => []), isKept);
  if (!unsent) return true;
  const dialog = document.createElement("dialog");
  dialog.className = "card leaving";
  dialog.setAttribute("aria-labelledby", "leaving-head");
  const head = document.createElement("h2");
  head.id = "leaving-head";
  head.textContent = unsent.head;
  const text = document.createElement("p");
  text.textContent = unsent.text;
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

/** Several changes may be waiting of one draft; of one that is only to be deleted nothing is lost. */
function inWords(rows, isKept) {
  const isPut = ({ op }) => op.kind === "draft.put" || op.kind === "draft.keep";
  const written = new Set(rows.filter(isPut).map(({ op }) => op.draftId));
  const others = new Set(rows.filter((row) => !isPut(row) && !written.has(row.op.draftId)).map(({ op }) => op.draftId ?? op.id));
  if (!isKept) {
    const also = written.size === 0 ? "" : written.size === 1 ? ", and so is 1 draft that has not been sent" : `, and so are ${written.size} drafts that have not been sent`;
    return { head: "What you are writing is not kept", text: `This device could not keep it. If you sign out now, it is gone${also}.` };
  }
  if (written.size === 0 && others.size === 0) return null;
  if (written.size === 0) {
    const head = others.size === 1 ? "1 change has not been sent" : `${others.size} changes have not been sent`;
    return { head, text: "What you deleted is still there for your other devices. If you sign out now, it stays." };
  }
  const also = others.size > 0 ? " What you deleted stays." : "";
  return written.size === 1
    ? { head: "1 draft has not been sent", text: `It is only on this device. If you sign out now, what you wrote is gone.${also}` }
    : { head: `${written.size} drafts have not been sent`, text: `They are only on this device. If you sign out now, what you wrote is gone.${also}` };
}

function button(value, label, classes) {
  const made = document.createElement("button");
  Object.assign(made, { value, className: classes, textContent: label });
  return made;
}

// Asks before a sign-out that would lose unsent changes.

import { all } from "./store.js";
import { saveWriting } from "./unsaved-text.js";

/** Whether to sign out: true without asking if the account has no unsent changes, otherwise the person's answer. */
export async function confirmSignOut(account) {
  // Text that the device cannot store exists only in its field.
  const isStored = await saveWriting();
  const unsent = describeUnsent(await all("outbox", account).catch(() => []), isStored);
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

/**
 * Describes the unsent changes in words, or returns null if there are none. Counts drafts, not operations: a draft may
 * have several. Deletions count separately, since no text is lost with them.
 */
function describeUnsent(rows, isStored) {
  const isPut = ({ op }) => op.kind === "draft.put" || op.kind === "draft.keep";
  const written = new Set(rows.filter(isPut).map(({ op }) => op.draftId));
  const others = new Set(rows.filter((row) => !isPut(row) && !written.has(row.op.draftId)).map(({ op }) => op.draftId ?? op.id));
  if (!isStored) {
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
  const node = document.createElement("button");
  Object.assign(node, { value, className: classes, textContent: label });
  return node;
}

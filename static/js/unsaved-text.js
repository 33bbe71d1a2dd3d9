// Text being written on this page that the device may not have stored yet. The script that owns the field registers a
// writer; everything that leads away from the page calls this module first.

/**
 * The registered writer, `{ save(): Promise<boolean>, hasUnsaved(): boolean, hasFailed(): boolean, mustAsk(): boolean
 * }`. `save` stores the field's text and resolves to whether all of it is stored. `hasUnsaved` says whether some text
 * is not known to be stored, `hasFailed` whether the device failed to store it, and `mustAsk` whether the browser must
 * ask before it closes the page.
 */
let writer;

export function registerWriter(registered) {
  writer = registered;
  addEventListener("beforeunload", (event) => {
    if (!registered.mustAsk()) return;
    event.preventDefault();
    registered.save();
  });
  addEventListener("pagehide", () => registered.save());
  document.addEventListener("click", saveBeforeFollowing);
}

export const hasUnsavedText = () => writer?.hasUnsaved() ?? false;

export const hasStoreFailed = () => writer?.hasFailed() ?? false;

/** Tries to store the field's text. Resolves to whether all of it is stored. */
export const saveWriting = async () => (await writer?.save()) ?? true;

/** Call this when one of the answers above may have changed. */
export const announceWriting = () => document.dispatchEvent(new Event("writing-changed"));

/** Whether a click opens a new tab or window instead of leaving this page. */
export const opensElsewhere = (event) => event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0;

/**
 * Delays a click on a link until the device has stored the text. That takes a moment, and avoids the browser's question
 * about unsaved text.
 */
function saveBeforeFollowing(event) {
  const link = event.target.closest("a[href]");
  if (!link || link.target || opensElsewhere(event) || event.defaultPrevented || !hasUnsavedText() || hasStoreFailed()) return;
  event.preventDefault();
  saveWriting().then(() => location.assign(link.href));
}

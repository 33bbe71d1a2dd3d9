// What is being written on this page and is not known to be kept on this device. The script that has a field registers a
// writer; everything that leads away from the page asks here first.

/**
 * `{ keep(): Promise<boolean>, isUnkept(): boolean, isRefused(): boolean, isAsked(): boolean }`: tries to keep all that stands
 * in the field; whether something is not known to be kept; whether the device has refused to keep it; whether it is asked
 * before the page goes.
 */
let writer;

export function registerWriter(one) {
  writer = one;
  addEventListener("beforeunload", (event) => {
    if (!one.isAsked()) return;
    event.preventDefault();
    one.keep();
  });
  addEventListener("pagehide", () => one.keep());
  document.addEventListener("click", keepBeforeGoing);
}

export const isUnkept = () => writer?.isUnkept() ?? false;

export const isRefused = () => writer?.isRefused() ?? false;

/** Tries to keep what stands in the field; whether nothing is left to keep. */
export const keepWriting = async () => (await writer?.keep()) ?? true;

/** To be called when the answers above may have changed. */
export const tellWriting = () => document.dispatchEvent(new Event("writing-changed"));

/** Whether a click opens something beside this page. */
export const isBeside = (event) => event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0;

/** A link waits until the device has kept what was just typed: that is known in a moment, and the question is spared. */
function keepBeforeGoing(event) {
  const link = event.target.closest("a[href]");
  if (!link || link.target || isBeside(event) || event.defaultPrevented || !isUnkept() || isRefused()) return;
  event.preventDefault();
  keepWriting().then(() => location.assign(link.href));
}

// The drafts page: a list of drafts and an editor. Text is stored on this device at each pause of typing and sent by
// the outbox. Changes from other devices appear while the page is open. The script draws into <section id="drafts">, on
// /drafts and on the offline page. Without the script the same section works with forms.

import { baseOf, draftUrl, drawChoice, drawList, drawNotice, element, pairOf, textOf } from "./draft-views.js";
import { Autosave } from "./autosave.js";
import { clean, count, discard, drafts, flush, isSignedOutHere, LONGEST, remove, requestBackgroundSync, retry, serve, standing, write } from "./outbox.js";
import { offer } from "./offer.js";
import { change, changes, here, isAtLeastRevision, read } from "./store.js";
import { announceWriting, opensElsewhere, registerWriter } from "./unsaved-text.js";
import { uuid } from "./uuid.js";

/** Text is stored after a pause of this many milliseconds in the typing. */
const PAUSE = 600;
/** How long a deletion can be undone, in milliseconds. */
const UNDO_TIME = 10_000;
/** Text typed without a pause is stored this often, in milliseconds. */
const MAX_STORE_INTERVAL = 3_000;

const root = document.getElementById("drafts");

let account;
/** The open draft: its id, and `base`, the version and text that an edit builds on. */
let open = { id: null };
let storeTimer;
let firstTypedAt;
let field;
/** Stores the text of the field. */
let autosave;
/** Whether the person is signing out. If so, nothing more is stored unless they continue to write. */
let isSigningOut = false;
/** Whether this device's data is at least as new as the page that the server made. */
let isUpToDate = false;

// --- addresses

const requestedDraft = () => new URLSearchParams(location.search).get("draft");

async function openDraft(id) {
  isSigningOut = false;
  if (!(await storeNow())) return field.focus();
  const previousUrl = draftUrl(open.id);
  history.pushState(null, "", draftUrl(id));
  await show(id);
  const target = field ?? root.querySelector(".draft-choice h2") ?? root.querySelector(`a[href="${CSS.escape(previousUrl)}"]`);
  (target ?? document.querySelector("[data-new-draft]"))?.focus();
}

async function show(id) {
  open = { id: id === "new" ? uuid() : id, isNew: id === "new", base: { version: 0, text: "" } };
  // Remove the old editor before drawing, so that nothing can be typed into it.
  field?.closest(".draft-desk")?.remove();
  field = undefined;
  await draw();
}

// --- writing

function onInput() {
  if (!field) return;
  isSigningOut = false;
  updateCounter();
  showState(autosave.hasFailed ? TROUBLE : "Saving");
  const now = performance.now();
  if (storeTimer === undefined) firstTypedAt = now;
  clearTimeout(storeTimer);
  storeTimer = setTimeout(storeNow, Math.max(0, Math.min(PAUSE, firstTypedAt + MAX_STORE_INTERVAL - now)));
}

/** Stores the field's text now. Resolves to whether all of it is stored and short enough to be sent. */
async function storeNow() {
  clearTimeout(storeTimer);
  storeTimer = undefined;
  if (!field || isSigningOut) return true;
  const current = autosave;
  const [isStored, hadFailed] = [await current.save(), current.hasFailed];
  if (current !== autosave || !field) return isStored;
  if (current.isDirty && hadFailed) showState(TROUBLE);
  announceWriting();
  return isStored && count(clean(field.value)) <= LONGEST;
}

/**
 * Writes a text to the draft that was open when the write began. `open` may change meanwhile: after a conflict the
 * person continues in another draft.
 */
async function storeText(value) {
  const [target, text] = [open, clean(value)];
  const { base } = target;
  // The next edit builds on this text, although it may not be stored yet.
  target.base = { ...base, text };
  try {
    await write(account, target.id, text, base);
  } catch (error) {
    if (target.base.text === text) target.base = base;
    throw error;
  }
  Object.assign(target, { isNew: false, isWritten: true, written: text });
  if (target === open && requestedDraft() !== open.id) history.replaceState(null, "", draftUrl(open.id));
  flush();
  requestBackgroundSync();
}

const hasUnstoredText = () => Boolean(field?.isConnected) && autosave.isDirty;

/** Whether some text is only on this page, including text typed before this script started. */
const hasUnsavedText = () => hasUnstoredText() || Boolean(editedServerField());

function updateCounter() {
  const length = count(field.value);
  const over = length > LONGEST;
  const counter = root.querySelector("#draft-count");
  counter.textContent = `${length.toLocaleString("en")} of ${LONGEST.toLocaleString("en")} characters${over ? ": too long to be saved" : ""}`;
  counter.classList.toggle("over", over);
  if (over) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function showState(words) {
  const place = root.querySelector("#draft-state");
  if (!place) return;
  // The header announces how sending goes, so only a storage failure is announced here.
  if (words === TROUBLE) place.setAttribute("role", "alert");
  else place.removeAttribute("role");
  if (place.textContent !== words) place.textContent = words;
}

function stateOf(draft) {
  if (hasUnstoredText()) return autosave.hasFailed ? TROUBLE : "Saving";
  if (draft?.aside) return "Kept on this device only";
  if (draft?.waiting) return standing === "saved" ? "Saving" : WORDS[standing];
  return draft ? WORDS.saved : "";
}

const TROUBLE = "This could not be kept on this device";

const WORDS = {
  saved: "Saved",
  offline: "Saved on this device. It is sent when you are online.",
  away: "Saved on this device. The service cannot be reached right now.",
  stuck: "Saved on this device. It could not be sent yet.",
  "signed-out": "Saved on this device. It is sent when you have signed in again.",
  "somebody-else": "Saved on this device, for the person who wrote it.",
};

// --- drawing

async function draw() {
  await compose();
  // times.js fills in the times.
  root.dispatchEvent(new CustomEvent("region-refreshed", { bubbles: true }));
}

async function compose() {
  if (await isGone()) return clear();
  await checkUpToDate();
  const storedText = autosave?.stored;
  const list = await drafts(account);
  // Text was stored meanwhile, so the list is out of date.
  if (autosave?.stored !== storedText) return compose();
  if (field && !open.isNew) followConflict(list);
  const current = list.find(({ id }) => id === open.id);
  const pair = current && pairOf(current, list);
  const serverField = editedServerField();
  const parts = [drawList(list, current, openOnClick)];
  if (pair && !serverField && !isWriting()) parts.push(drawPair(pair));
  // Keep the editor while it has unstored text, even if the draft was deleted elsewhere.
  else if (current || open.isNew || serverField || hasUnstoredText()) parts.push(drawDesk(current, pair));
  else if (open.id && isUpToDate) parts.push(element("div", { class: "card draft-desk" }, element("p", { class: "soft" }, "This draft no longer exists.")));
  const [listed, ...desk] = parts;
  // Keep the server's list until this device's data is as new.
  if (isUpToDate || list.length > 0) replace("draft-list", listed);
  if (desk[0]?.isConnected || (open.id && desk.length === 0)) return;
  const focused = root.contains(document.activeElement) ? document.activeElement : undefined;
  root.querySelectorAll(".draft-desk, .draft-choice").forEach((old) => old.remove());
  root.append(...desk);
  root.classList.toggle("is-open", desk.length > 0);
  if (!field?.isConnected) field = undefined;
  if (field && serverField) takeOverField(serverField);
  else if (focused && !focused.isConnected) restoreFocus(focused);
  if (field) updateCounter();
}

/** Gives the focus back to the field or button that the person was using. */
function restoreFocus(before) {
  if (field && before.id === field.id) focusLike(before);
  else if (before.matches("button")) [...root.querySelectorAll("button")].find((each) => each.textContent.trim() === before.textContent.trim())?.focus({ preventScroll: true });
}

function focusLike(before) {
  field.focus();
  field.setSelectionRange(before.selectionStart, before.selectionEnd);
}

/** The field of the server's form, if it holds text that was not saved. */
function editedServerField() {
  const serverField = root.querySelector("form:not([data-live-desk]) textarea");
  return serverField && (serverField.value !== serverField.defaultValue || isRejectedForm(serverField)) ? serverField : undefined;
}

/** Whether the server shows a form again, with its text, because it could not be saved. */
const isRejectedForm = (serverField) => serverField.value !== "" && !serverField.closest("[data-version]");

/** Moves text that was typed into the server's form into the editor, on the version that it was typed on. */
function takeOverField(serverField) {
  const text = isRejectedForm(serverField) ? null : serverField.defaultValue;
  open.base = { version: Number(serverField.form.elements.base.value), text };
  field.value = serverField.value;
  focusLike(serverField);
  onInput();
}

/** Whether the person has signed out here, or somebody else has signed in. */
const isGone = async () => (await read(["marks"], isSignedOutHere)) || (!root.dataset.account && (await here()) !== account);

async function clear() {
  // If only the session has ended, the person finds the text again later. After a sign-out the store rejects it.
  await storeNow();
  clearTimeout(storeTimer);
  field = undefined;
  root.replaceChildren();
  announceWriting();
}

function replace(id, replacement) {
  const old = document.getElementById(id);
  if (!old) root.prepend(replacement);
  else if (!old.isEqualNode(replacement)) {
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceWith(replacement);
    if (focused) replacement.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

const isWriting = () => field?.isConnected && (document.activeElement === field || storeTimer || autosave.isDirty);

/** After a conflict, switches to the draft that holds the person's text. */
function followConflict(list) {
  const storedText = clean(autosave.stored);
  const current = list.find(({ id }) => id === open.id);
  if (!open.isWritten || current?.waiting || (current && textOf(current) === storedText)) return;
  const successor = list.find((draft) => textOf(draft) === storedText && (current ? draft.conflictOf === open.id : !draft.conflictOf));
  if (!successor) return;
  open = { id: successor.id, isNew: false, isWritten: true, base: baseOf(successor) };
  field.dataset.draft = successor.id;
  history.replaceState(null, "", draftUrl(successor.id));
}

const openOnClick = (id) => (event) => {
  if (opensElsewhere(event)) return;
  event.preventDefault();
  openDraft(id);
};

function drawDesk(draft, pair) {
  if (field?.isConnected && field.dataset.draft === open.id) {
    if (draft && !draft.waiting && !hasUnstoredText()) showRemoteText(draft);
    const desk = field.closest(".draft-desk");
    desk.querySelector("#draft-delete").hidden = !draft;
    drawNotice(desk.querySelector(".draft-news"), withoutOwnChange(draft), pair, noticeHandlers);
    showState(stateOf(draft));
    return desk;
  }
  open.base = baseOf(draft);
  field = element("textarea", { id: "draft-text", rows: "12", "data-draft": open.id, spellcheck: "true", "aria-describedby": "draft-count draft-state", input: onInput, blur: storeNow }, open.base.text);
  autosave = new Autosave(field, storeText);
  const place = element("div", { class: "draft-news" });
  drawNotice(place, withoutOwnChange(draft), pair, noticeHandlers);
  return element("form", { class: "card draft-desk", "data-live-desk": true, submit: (event) => { event.preventDefault(); storeNow().then((isKept) => (isKept ? openDraft(null) : field?.focus())); } },
    place,
    element("div", { class: "field" }, element("label", { for: "draft-text" }, "Your post"), field),
    element("div", { class: "draft-foot" },
      element("p", { class: "soft", id: "draft-count" }),
      // Not a live region: the header announces the same.
      element("p", { class: "soft", id: "draft-state" }, stateOf(draft))),
    element("div", { class: "answers" },
      element("button", { class: "button main", type: "submit" }, "Done"),
      navigator.clipboard && element("button", { class: "button", type: "button", click: copyText }, "Copy"),
      navigator.share && element("button", { class: "button", type: "button", click: shareText }, "Share"),
      element("span", { class: "soft", role: "status", id: "draft-copied" }),
      element("button", { class: "button ghost ends", type: "button", id: "draft-delete", hidden: !draft, click: deleteDraft }, "Delete")));
}

async function copyText() {
  const isCopied = await navigator.clipboard.writeText(field.value).then(() => true, () => false);
  root.querySelector("#draft-copied").textContent = isCopied ? "Copied" : "Not copied: select the text";
}

function shareText() {
  // The person may change their mind.
  navigator.share({ text: field.value }).catch(() => {});
}

/**
 * Hides the notice that this page wrote the draft last. The person knows that, and the notice would move the buttons
 * while they press them.
 */
const withoutOwnChange = (draft) => (draft && draft.text === open.written ? { ...draft, updatedOn: undefined } : draft);

/** Shows text from another device in the open draft. Called only when nothing is unstored here. */
function showRemoteText(draft) {
  const text = textOf(draft);
  if (field.value !== text) {
    const [start, end, atEnd] = [field.selectionStart, field.selectionEnd, field.selectionEnd === field.value.length];
    autosave.show(text);
    if (document.activeElement === field) field.setSelectionRange(atEnd ? text.length : start, atEnd ? text.length : end);
    updateCounter();
  }
  open.base = baseOf(draft);
}

/** The current state of the open draft. The notice on the page may be older. */
const currentDraft = async () => (await drafts(account)).find(({ id }) => id === open.id);

async function tryAgain() {
  const draft = await currentDraft();
  field?.focus();
  if (draft?.aside) await retry(account, draft.aside.seq);
  flush();
}

async function giveUp() {
  const draft = await currentDraft();
  if (draft?.aside) await discard(draft.aside.seq);
  field = undefined;
  await openDraft(draft?.version ? draft.id : null);
  if (draft?.aside) offerBack("That change is discarded.", draft.aside.text);
}

/** Offers for a short time to restore a discarded text as a new draft. */
function offerBack(words, text) {
  offer(words, "Undo", async () => {
    const id = uuid();
    const isRestored = await write(account, id, text, { version: 0, text: null }).then(() => true, () => false);
    if (!isRestored) return offerBack("That could not be kept on this device.", text);
    flush();
    await openDraft(id);
  }, UNDO_TIME);
}

async function seeBoth() {
  if (!(await storeNow())) return field?.focus();
  field?.blur();
  await draw();
  root.querySelector(".draft-choice h2")?.focus();
}

/** The handlers of the buttons in the notice about the open draft. */
const noticeHandlers = { tryAgain, giveUp, seeBoth };

async function deleteDraft() {
  clearTimeout(storeTimer);
  storeTimer = undefined;
  const draft = await currentDraft();
  // A full device cannot store the deletion either.
  if (draft && !(await tryToStore(() => remove(account, draft.id, draft.version ? draft : undefined)))) return field?.focus();
  field = undefined;
  if (!draft) return openDraft(null);
  flush();
  requestBackgroundSync();
  await openDraft(null);
  offerBack("That draft is deleted.", textOf(draft));
}

/**
 * Runs `work`, which writes to the store. If it fails, says so beside the field or above the versions. Resolves to
 * whether it succeeded.
 */
async function tryToStore(work) {
  try {
    await work();
    return true;
  } catch {
    const place = root.querySelector("#draft-state") ?? root.querySelector(".draft-choice .notice p");
    place?.setAttribute("role", "alert");
    if (place) place.textContent = "That could not be kept on this device. Try again when there is room.";
    return false;
  }
}

// --- two versions

function drawPair([first, second]) {
  field = undefined;
  return drawChoice(root.querySelector(".draft-choice"), [first, second], {
    first: () => choose(first, second, first.text),
    second: () => choose(first, second, second.text),
    both: root.dataset.token && (() => keepBoth(second)),
  });
}

/**
 * Keeps the first draft with the chosen text and deletes the second. The text is written even if the first draft has it
 * already: that draft may have been changed or deleted elsewhere meanwhile, and the text must not be lost with the
 * second.
 */
async function choose(first, second, text) {
  const isChosen = await tryToStore(async () => {
    await write(account, first.id, text, first);
    await remove(account, second.id, second);
  });
  if (!isChosen) return;
  flush();
  requestBackgroundSync();
  await openDraft(first.id);
  offerBack("The other version is deleted.", text === first.text ? second.text : first.text);
}

/** Keeps both drafts by sending the page's form, because only the server may clear a draft's `conflictOf`. */
async function keepBoth(second) {
  const body = new URLSearchParams({ csrf: root.dataset.token, both: second.id });
  const answer = await fetch("/drafts", { method: "POST", body, redirect: "manual" }).catch(() => undefined);
  // The server has changed nothing, so the choice stays.
  if (answer?.type !== "opaqueredirect") return;
  await flush();
  // Scripts cannot see where a redirect leads; it may be a proxy's own sign-in. Look at the drafts instead.
  const isKept = (await drafts(account)).some(({ id, conflictOf }) => id === second.id && !conflictOf);
  if (isKept) await openDraft(second.id);
}

// --- beginning

/**
 * Stores the draft that the server put into the page, in case the network is lost before anything else arrives. Does
 * nothing if this device's data is at least as new, or belongs to another session.
 */
async function storeServedDraft() {
  const desk = root.querySelector(".draft-desk[data-version]");
  if (!desk) return;
  const { revision } = root.dataset;
  const { draft: id, at: updatedAt, on: updatedOn } = desk.dataset;
  const [version, text] = [Number(desk.dataset.version), desk.querySelector("textarea").defaultValue];
  await change(["people", "drafts"], async ({ people, drafts }) => {
    const person = await people.get(account);
    if (person?.sessionId !== document.documentElement.dataset.session || isAtLeastRevision(person.revision, revision)) return;
    const stored = await drafts.get([account, id]);
    if (!stored || stored.version < version) await drafts.put({ account, id, text, version, updatedAt, updatedOn });
  });
}

/** Opens the draft of a form that could not be saved. The page's address is the form's and does not name the draft. */
async function openRejectedForm(serverField) {
  const { draft, base } = serverField.form.elements;
  open = { id: draft.value, isNew: true, base: { version: Number(base.value), text: null } };
  await draw();
}

let drawing = Promise.resolve();
const redraw = () => { drawing = drawing.then(draw).catch(reportError); };

/** When this script started. Data fetched later is at least as new as the page. */
const startedAt = Date.now();
let isFetching = false;
/** Ends the wait in `catchUp`, because typed text must be stored now. */
let stopWaiting;
const stopped = new Promise((resolve) => { stopWaiting = resolve; });

async function checkUpToDate() {
  if (isUpToDate || isFetching) return;
  const person = await read(["people"], ({ people }) => people.get(account));
  isUpToDate = Date.parse(person?.draftsAsOf ?? "") >= startedAt;
}

/** Fetches changes from the server. Waits for them only a short time; the page works with forms meanwhile. */
async function catchUp() {
  // On a full device, go on with the draft in the page without storing it.
  await storeServedDraft().catch(() => {});
  isFetching = true;
  let isLate = false;
  const fetching = flush().then(() => {
    isFetching = false;
    isUpToDate ||= standing === "saved";
    if (isLate) redraw();
  });
  await Promise.race([fetching, stopped, new Promise((resolve) => { setTimeout(resolve, 3_000); })]);
  isLate = true;
}

async function start() {
  guardUnsavedText();
  const signedIn = root.dataset.account;
  account = signedIn || (await here());
  if (!account) return;
  await serve(account);
  if (signedIn) await catchUp();
  else isUpToDate = true;
  const serverField = root.querySelector("form:not([data-live-desk]) textarea");
  if (serverField && isRejectedForm(serverField)) await openRejectedForm(serverField);
  else await show(requestedDraft());
  changes.addEventListener("message", redraw);
  addEventListener("popstate", async () => {
    if (await storeNow()) await show(requestedDraft());
    else history.pushState(null, "", draftUrl(open.id));
  });
  for (const name of ["online", "pageshow"]) addEventListener(name, flush);
  document.addEventListener("visibilitychange", () => (document.hidden ? storeNow() : flush()));
  document.addEventListener("drafts-changed", flush);
  document.querySelectorAll("[data-new-draft]").forEach((link) => link.addEventListener("click", openOnClick("new")));
}

// --- leaving the page

/** Whether the server's form is being submitted, with the text typed in it. */
let isFormSubmitted = false;

/** Keeps the page from closing with unstored text unless the person agrees. */
function guardUnsavedText() {
  const isTooLong = () => field?.isConnected && count(field.value) > LONGEST;
  registerWriter({
    save: async () => {
      // Text typed before this script started is stored once the editor has taken it over.
      stopWaiting();
      await starting;
      await storeNow();
      return !hasUnsavedText();
    },
    hasUnsaved: hasUnsavedText,
    hasFailed: () => hasUnstoredText() && autosave.hasFailed,
    mustAsk: () => !isSigningOut && !isFormSubmitted && (hasUnsavedText() || isTooLong()),
  });
  addEventListener("pageshow", () => { isSigningOut = isFormSubmitted = false; });
  document.addEventListener("leaving", () => { isSigningOut = true; });
  document.addEventListener("submit", ({ target, defaultPrevented }) => { isFormSubmitted ||= !defaultPrevented && root.contains(target); });
}

/** Without storage the page works with forms, and says so beside the field. */
function continueWithoutStore() {
  const place = root.querySelector("form:not([data-live-desk]) #draft-count");
  place?.after(element("p", { class: "notice warm", id: "draft-state", role: "status" }, "This browser keeps nothing on this device. Press Save before you leave this page."));
}

const starting = root && start().catch((error) => here().then(() => reportError(error), continueWithoutStore));

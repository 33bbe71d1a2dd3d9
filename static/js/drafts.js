// The drafts: a list, and one to write in. What is written is kept on this device at each pause of typing and sent by the
// outbox; what other devices write comes in live. Draws into <section id="drafts">, on its page and on the offline page.
// Without this script the same section works by forms.

import { address, baseOf, drawChoice, drawList, drawNews, element, pairOf, textOf } from "./draft-views.js";
import { Keeping } from "./keeping.js";
import { clean, count, discard, drafts, flush, isOver, later, LONGEST, remove, retry, serve, standing, write } from "./outbox.js";
import { offer } from "./offer.js";
import { change, changes, here, isAsNew, read } from "./store.js";
import { isBeside, registerWriter, tellWriting } from "./unkept.js";
import { uuid } from "./uuid.js";

const PAUSE = 600;
/** For so long what was thrown away can be had back. */
const UNDO_TIME = 10_000;
/** Whoever writes without a pause is kept this often. */
const LONGEST_PAUSE = 3_000;

const root = document.getElementById("drafts");

let account;
/** The draft that is open: its id, and the text that is written on, with its version. */
let open = { id: null };
let typing;
let typingSince;
let field;
/** How much of what stands in the field is kept. */
let keeping;
/** Somebody signs out: what they had not kept is not kept any more, unless they write on. */
let isLeaving = false;
/** Whether what is known here is as new as the page that the server made. */
let isInStep = false;

// --- addresses

const asked = () => new URLSearchParams(location.search).get("draft");

async function go(id) {
  isLeaving = false;
  if (!(await keepNow())) return field.focus();
  const left = address(open.id);
  history.pushState(null, "", address(id));
  await show(id);
  const place = field ?? root.querySelector(".draft-choice h2") ?? root.querySelector(`a[href="${CSS.escape(left)}"]`);
  (place ?? document.querySelector("[data-new-draft]"))?.focus();
}

async function show(id) {
  open = { id: id === "new" ? uuid() : id, isNew: id === "new", base: { version: 0, text: "" } };
  // Nobody types any more in what is about to go.
  field?.closest(".draft-desk")?.remove();
  field = undefined;
  await draw();
}

// --- writing

function onInput() {
  if (!field) return;
  isLeaving = false;
  measure();
  tell(keeping.isRefused ? TROUBLE : "Saving");
  const now = performance.now();
  if (typing === undefined) typingSince = now;
  clearTimeout(typing);
  typing = setTimeout(keepNow, Math.max(0, Math.min(PAUSE, typingSince + LONGEST_PAUSE - now)));
}

/** Keeps what stands in the field. Whether all of it is kept, and can be sent. */
async function keepNow() {
  clearTimeout(typing);
  typing = undefined;
  if (!field || isLeaving) return true;
  const own = keeping;
  const [isKept, wasRefused] = [await own.keep(), own.isRefused];
  if (own !== keeping || !field) return isKept;
  if (own.isUnkept && wasRefused) tell(TROUBLE);
  tellWriting();
  return isKept && count(clean(field.value)) <= LONGEST;
}

/** What is written in a draft goes on in it, also after a conflict: `own` is where it stood when the writing began. */
async function put(value) {
  const [own, text] = [open, clean(value)];
  const { base } = own;
  // What is written next builds on this, though it may not be kept yet.
  own.base = { ...base, text };
  try {
    await write(account, own.id, text, base);
  } catch (error) {
    if (own.base.text === text) own.base = base;
    throw error;
  }
  Object.assign(own, { isNew: false, isWritten: true, written: text });
  if (own === open && asked() !== open.id) history.replaceState(null, "", address(open.id));
  flush();
  later();
}

const isUnkept = () => Boolean(field?.isConnected) && keeping.isUnkept;

/** What was typed before this script was there, and is in no field of its own yet. */
const isUnsaved = () => isUnkept() || Boolean(typedBefore());

function measure() {
  const length = count(field.value);
  const over = length > LONGEST;
  const counter = root.querySelector("#draft-count");
  counter.textContent = `${length.toLocaleString("en")} of ${LONGEST.toLocaleString("en")} characters${over ? ": too long to be saved" : ""}`;
  counter.classList.toggle("over", over);
  if (over) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function tell(words) {
  const place = root.querySelector("#draft-state");
  if (!place) return;
  // The header says aloud how sending goes, and nothing of this.
  if (words === TROUBLE) place.setAttribute("role", "alert");
  else place.removeAttribute("role");
  if (place.textContent !== words) place.textContent = words;
}

function stateOf(draft) {
  if (isUnkept()) return keeping.isRefused ? TROUBLE : "Saving";
  if (draft?.aside) return "Kept on this device only";
  if (draft?.waiting) return standing === "saved" ? "Saving" : WORDS[standing];
  return draft ? WORDS.saved : "";
}

const TROUBLE = "This could not be kept on this device";

const WORDS = {
  saved: "Saved",
  offline: "Saved on this device. It is sent when you are online.",
  away: "Saved on this device. Sessile cannot be reached just now.",
  stuck: "Saved on this device. It could not be sent yet.",
  "signed-out": "Saved on this device. It is sent when you have signed in again.",
  "somebody-else": "Saved on this device, for the person who wrote it.",
};

// --- drawing

async function draw() {
  await compose();
  // Times are said by their own script.
  root.dispatchEvent(new CustomEvent("region-refreshed", { bubbles: true }));
}

async function compose() {
  if (await isLeft()) return clear();
  await lookWhetherInStep();
  const kept = keeping?.kept;
  const list = await drafts(account);
  // Written meanwhile: the list is older than the field.
  if (keeping?.kept !== kept) return compose();
  if (field && !open.isNew) follow(list);
  const current = list.find(({ id }) => id === open.id);
  const pair = current && pairOf(current, list);
  const served = typedBefore();
  const parts = [drawList(list, current, follows)];
  if (pair && !served && !isWriting()) parts.push(drawTwo(pair));
  // Nothing that is not kept goes with a draft that was deleted elsewhere.
  else if (current || open.isNew || served || isUnkept()) parts.push(drawDesk(current, pair));
  else if (open.id && isInStep) parts.push(element("div", { class: "card draft-desk" }, element("p", { class: "soft" }, "This draft no longer exists.")));
  const [listed, ...desk] = parts;
  // What the server has shown stays until what is known here is as new.
  if (isInStep || list.length > 0) replace("draft-list", listed);
  if (desk[0]?.isConnected || (open.id && desk.length === 0)) return;
  const focused = root.contains(document.activeElement) ? document.activeElement : undefined;
  root.querySelectorAll(".draft-desk, .draft-choice").forEach((old) => old.remove());
  root.append(...desk);
  root.classList.toggle("is-open", desk.length > 0);
  if (!field?.isConnected) field = undefined;
  if (field && served) adopt(served);
  else if (focused && !focused.isConnected) focusAgain(focused);
  if (field) measure();
}

/** Whoever had just begun to write, or was about to press a button, is where they were. */
function focusAgain(before) {
  if (field && before.id === field.id) goOnIn(before);
  else if (before.matches("button")) [...root.querySelectorAll("button")].find((each) => each.textContent.trim() === before.textContent.trim())?.focus({ preventScroll: true });
}

function goOnIn(before) {
  field.focus();
  field.setSelectionRange(before.selectionStart, before.selectionEnd);
}

/** The field of the page as it came, if something was typed in it that is not saved. */
function typedBefore() {
  const served = root.querySelector("form:not([data-live-desk]) textarea");
  return served && (served.value !== served.defaultValue || isShownAgain(served)) ? served : undefined;
}

/** A form that could not be saved is shown again with what was typed in it. */
const isShownAgain = (served) => served.value !== "" && !served.closest("[data-version]");

/** What was typed before this script was there stays, on what it was typed on. */
function adopt(served) {
  const text = isShownAgain(served) ? null : served.defaultValue;
  open.base = { version: Number(served.form.elements.base.value), text };
  field.value = served.value;
  goOnIn(served);
  onInput();
}

/** Whether nobody is signed in here any more, or somebody else. */
const isLeft = async () => (await read(["marks"], isOver)) || (!root.dataset.account && (await here()) !== account);

async function clear() {
  // Whoever is only hidden finds it again; of who has left nothing is kept.
  await keepNow();
  clearTimeout(typing);
  field = undefined;
  root.replaceChildren();
  tellWriting();
}

function replace(id, made) {
  const old = document.getElementById(id);
  if (!old) root.prepend(made);
  else if (!old.isEqualNode(made)) {
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceWith(made);
    if (focused) made.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

const isWriting = () => field?.isConnected && (document.activeElement === field || typing || keeping.isUnkept);

/** After a conflict the writing goes on in the draft that keeps it. */
function follow(list) {
  const kept = clean(keeping.kept);
  const own = list.find(({ id }) => id === open.id);
  if (!open.isWritten || own?.waiting || (own && textOf(own) === kept)) return;
  const moved = list.find((draft) => textOf(draft) === kept && (own ? draft.conflictOf === open.id : !draft.conflictOf));
  if (!moved) return;
  open = { id: moved.id, isNew: false, isWritten: true, base: baseOf(moved) };
  field.dataset.draft = moved.id;
  history.replaceState(null, "", address(moved.id));
}

const follows = (id) => (event) => {
  if (isBeside(event)) return;
  event.preventDefault();
  go(id);
};

function drawDesk(draft, pair) {
  if (field?.isConnected && field.dataset.draft === open.id) {
    if (draft && !draft.waiting && !isUnkept()) takeNews(draft);
    const desk = field.closest(".draft-desk");
    desk.querySelector("#draft-delete").hidden = !draft;
    drawNews(desk.querySelector(".draft-news"), newsOf(draft), pair, answers);
    tell(stateOf(draft));
    return desk;
  }
  open.base = baseOf(draft);
  field = element("textarea", { id: "draft-text", rows: "12", "data-draft": open.id, spellcheck: "true", "aria-describedby": "draft-count draft-state", input: onInput, blur: keepNow }, open.base.text);
  keeping = new Keeping(field, put);
  const place = element("div", { class: "draft-news" });
  drawNews(place, newsOf(draft), pair, answers);
  return element("form", { class: "card draft-desk", "data-live-desk": true, submit: (event) => { event.preventDefault(); keepNow().then((isKept) => (isKept ? go(null) : field?.focus())); } },
    place,
    element("div", { class: "field" }, element("label", { for: "draft-text" }, "Your post"), field),
    element("div", { class: "draft-foot" },
      element("p", { class: "soft", id: "draft-count" }),
      // The header says the same aloud.
      element("p", { class: "soft", id: "draft-state" }, stateOf(draft))),
    element("div", { class: "answers" },
      element("button", { class: "button main", type: "submit" }, "Done"),
      element("button", { class: "button ghost ends", type: "button", id: "draft-delete", hidden: !draft, click: erase }, "Delete")));
}

/** That it was last written here is no news, and would move the buttons under the hand that presses one. */
const newsOf = (draft) => (draft && draft.text === open.written ? { ...draft, updatedOn: undefined } : draft);

/** Somebody else has written in the draft that is open, and nothing is written here. */
function takeNews(draft) {
  const text = textOf(draft);
  if (field.value !== text) {
    const [start, end, atEnd] = [field.selectionStart, field.selectionEnd, field.selectionEnd === field.value.length];
    keeping.show(text);
    if (document.activeElement === field) field.setSelectionRange(atEnd ? text.length : start, atEnd ? text.length : end);
    measure();
  }
  open.base = baseOf(draft);
}

/** The open draft as it is now: the notice may be older. */
const fresh = async () => (await drafts(account)).find(({ id }) => id === open.id);

async function tryAgain() {
  const draft = await fresh();
  field?.focus();
  if (draft?.aside) await retry(account, draft.aside.seq);
  flush();
}

async function giveUp() {
  const draft = await fresh();
  if (draft?.aside) await discard(draft.aside.seq);
  field = undefined;
  await go(draft?.version ? draft.id : null);
  if (draft?.aside) offerBack("That change is discarded.", draft.aside.text);
}

/** What was thrown away comes back as a new draft, for whoever says so soon. */
function offerBack(words, text) {
  offer(words, "Undo", async () => {
    const id = uuid();
    const isBack = await write(account, id, text, { version: 0, text: null }).then(() => true, () => false);
    if (!isBack) return offerBack("That could not be kept on this device.", text);
    flush();
    await go(id);
  }, UNDO_TIME);
}

async function seeBoth() {
  if (!(await keepNow())) return field?.focus();
  field?.blur();
  await draw();
  root.querySelector(".draft-choice h2")?.focus();
}

/** What can be answered to news of the draft that is open. */
const answers = { tryAgain, giveUp, seeBoth };

async function erase() {
  clearTimeout(typing);
  typing = undefined;
  const draft = await fresh();
  // A device that is full cannot even note that something is to be deleted.
  if (draft && !(await isDone(() => remove(account, draft.id, draft.version ? draft : undefined)))) return field?.focus();
  field = undefined;
  if (!draft) return go(null);
  flush();
  later();
  await go(null);
  offerBack("That draft is deleted.", textOf(draft));
}

/** Whether the device has kept what it was told. Else it is said beside the field, or above the versions. */
async function isDone(work) {
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

function drawTwo([one, other]) {
  field = undefined;
  return drawChoice(root.querySelector(".draft-choice"), [one, other], {
    one: () => choose(one, other, one.text),
    other: () => choose(one, other, other.text),
    both: root.dataset.token && (() => keepBoth(other)),
  });
}

/**
 * The first of the two lives on, with the text that is chosen. That is written even where it stands already: the one may
 * have been changed or deleted elsewhere meanwhile, and the text must not go with the other.
 */
async function choose(one, other, text) {
  const isChosen = await isDone(async () => {
    await write(account, one.id, text, one);
    await remove(account, other.id, other);
  });
  if (!isChosen) return;
  flush();
  later();
  await go(one.id);
  offerBack("The other version is gone.", text === one.text ? other.text : one.text);
}

/** As a form does it: what a draft came from is nothing that a device changes by itself. */
async function keepBoth(other) {
  const body = new URLSearchParams({ csrf: root.dataset.token, both: other.id });
  const answer = await fetch("/drafts", { method: "POST", body, redirect: "manual" }).catch(() => undefined);
  // Nothing has happened: the choice stays.
  if (answer?.type !== "opaqueredirect") return;
  await flush();
  // Where the redirect leads is not to be seen: it may be that of a proxy which wants a sign-in of its own.
  const isKept = (await drafts(account)).some(({ id, conflictOf }) => id === other.id && !conflictOf);
  if (isKept) await go(other.id);
}

// --- beginning

/**
 * The draft that the page came with is known here from now on, even if the network goes before anything else comes: unless
 * what is known here is as new as the page, or is not of its session.
 */
async function seed() {
  const desk = root.querySelector(".draft-desk[data-version]");
  if (!desk) return;
  const { revision } = root.dataset;
  const { draft: id, at: updatedAt, on: updatedOn } = desk.dataset;
  const [version, text] = [Number(desk.dataset.version), desk.querySelector("textarea").defaultValue];
  await change(["people", "drafts"], async ({ people, drafts }) => {
    const person = await people.get(account);
    if (person?.sessionId !== document.documentElement.dataset.session || isAsNew(person.revision, revision)) return;
    const kept = await drafts.get([account, id]);
    if (!kept || kept.version < version) await drafts.put({ account, id, text, version, updatedAt, updatedOn });
  });
}

/** Opens what a form was sent for and could not be saved, whatever the address says: that is the form's. */
async function showAgain(served) {
  const { draft, base } = served.form.elements;
  open = { id: draft.value, isNew: true, base: { version: Number(base.value), text: null } };
  await draw();
}

let drawing = Promise.resolve();
const redraw = () => { drawing = drawing.then(draw).catch(reportError); };

/** When this page began. What is taken from the server later is as new as the page. */
const begun = Date.now();
let isComing = false;
/** Ends the wait for what is new: something was typed and is to be kept now. */
let hurry;
const hurried = new Promise((done) => { hurry = done; });

async function lookWhetherInStep() {
  if (isInStep || isComing) return;
  const person = await read(["people"], ({ people }) => people.get(account));
  isInStep = Date.parse(person?.draftsAsOf ?? "") >= begun;
}

/** Takes what is new from the server. It is waited for, but not for long: the page works by forms meanwhile. */
async function catchUp() {
  // On a device that is full the page works with what it came with.
  await seed().catch(() => {});
  isComing = true;
  let isLate = false;
  const coming = flush().then(() => {
    isComing = false;
    isInStep ||= standing === "saved";
    if (isLate) redraw();
  });
  await Promise.race([coming, hurried, new Promise((late) => { setTimeout(late, 3_000); })]);
  isLate = true;
}

async function begin() {
  guard();
  const signedIn = root.dataset.account;
  account = signedIn || (await here());
  if (!account) return;
  await serve(account);
  if (signedIn) await catchUp();
  else isInStep = true;
  const served = root.querySelector("form:not([data-live-desk]) textarea");
  if (served && isShownAgain(served)) await showAgain(served);
  else await show(asked());
  changes.addEventListener("message", redraw);
  addEventListener("popstate", async () => {
    if (await keepNow()) await show(asked());
    else history.pushState(null, "", address(open.id));
  });
  for (const name of ["online", "pageshow"]) addEventListener(name, flush);
  document.addEventListener("visibilitychange", () => (document.hidden ? keepNow() : flush()));
  document.addEventListener("drafts-changed", flush);
  document.querySelectorAll("[data-new-draft]").forEach((link) => link.addEventListener("click", follows("new")));
}

// --- leaving the page

/** A form of the page as it came is being sent, with what was typed in it. */
let isSending = false;

/** What is not known to be kept does not go with the page unless the person says so. */
function guard() {
  const isTooLong = () => field?.isConnected && count(field.value) > LONGEST;
  registerWriter({
    keep: async () => {
      // Text typed before this script took over is kept once the script has a field for it.
      hurry();
      await beginning;
      await keepNow();
      return !isUnsaved();
    },
    isUnkept: isUnsaved,
    isRefused: () => isUnkept() && keeping.isRefused,
    isAsked: () => !isLeaving && !isSending && (isUnsaved() || isTooLong()),
  });
  addEventListener("pageshow", () => { isLeaving = isSending = false; });
  document.addEventListener("leaving", () => { isLeaving = true; });
  document.addEventListener("submit", ({ target, defaultPrevented }) => { isSending ||= !defaultPrevented && root.contains(target); });
}

/** Where the browser keeps nothing the page works by forms, and says so beside the field. */
function goOnWithoutStore() {
  const place = root.querySelector("form:not([data-live-desk]) #draft-count");
  place?.after(element("p", { class: "notice warm", id: "draft-state", role: "status" }, "This browser keeps nothing on this device. Press Save before you leave this page."));
}

const beginning = root && begin().catch((error) => here().then(() => reportError(error), goOnWithoutStore));

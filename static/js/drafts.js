// The drafts: a list, and one to write in. What is written is kept on this device at each pause of typing and sent by the
// outbox; what other devices write comes in live. Draws into <section id="drafts">, on its page and on the offline page.
// Without this script the same section works by forms.

import { clean, count, discard, drafts, flush, isOver, remove, retry, serve, standing, write } from "./outbox.js";
import { change, changes, here, read } from "./store.js";

const MOST = 10_000;
const PAUSE = 600;

const root = document.getElementById("drafts");
const ago = (iso) => element("time", { datetime: iso, "data-style": "relative" }, element("span", { "data-words": "" }), element("span", { class: "sr-only", "data-exact": "" }));

let account;
/** The draft that is open: its id, and the text that is written on, with its version. */
let open = { id: null };
let typing;
let field;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

// --- addresses

const address = (id) => (id ? `/drafts?draft=${encodeURIComponent(id)}` : "/drafts");
const asked = () => new URLSearchParams(location.search).get("draft");

async function go(id) {
  if (!(await keepNow())) return field.focus();
  history.pushState(null, "", address(id));
  await show(id);
  if (field) field.focus();
  else root.querySelector("h2")?.focus();
}

async function show(id) {
  open = { id: id === "new" ? crypto.randomUUID() : id, isNew: id === "new", base: { version: 0, text: "" } };
  field = undefined;
  await draw();
}

// --- writing

function onInput() {
  measure();
  tell("Saving");
  clearTimeout(typing);
  typing = setTimeout(keepNow, PAUSE);
}

/** Keeps what stands in the field, if that is not kept yet. Whether all of it is kept. */
async function keepNow() {
  clearTimeout(typing);
  typing = undefined;
  if (!field || field.value === field.dataset.kept) return true;
  const text = clean(field.value);
  if (count(text) > MOST) return false;
  const [own, kept, { id, base, isNew }] = [field, field.dataset.kept, open];
  own.dataset.kept = own.value;
  Object.assign(open, { base: { ...base, text }, isNew: false, isWritten: true });
  try {
    await write(account, id, text, base);
  } catch {
    own.dataset.kept = kept;
    if (open.id === id) Object.assign(open, { base, isNew });
    tell("This could not be kept on this device");
    return false;
  }
  if (asked() !== open.id) history.replaceState(null, "", address(open.id));
  flush();
  return true;
}

function measure() {
  const length = count(field.value);
  const over = length > MOST;
  const counter = root.querySelector("#draft-count");
  counter.textContent = `${length.toLocaleString("en")} of ${MOST.toLocaleString("en")} characters${over ? ": too long to be saved" : ""}`;
  counter.classList.toggle("over", over);
  field.toggleAttribute("aria-invalid", over);
}

function tell(words) {
  const place = root.querySelector("#draft-state");
  if (place && place.textContent !== words) place.textContent = words;
}

const WORDS = {
  saved: "Saved",
  offline: "Saved on this device. It is sent when you are online.",
  away: "Saved on this device. Sessile is away for a moment.",
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
  const kept = field?.dataset.kept;
  const list = await drafts(account);
  // Written meanwhile: the list is older than the field.
  if (field?.dataset.kept !== kept) return compose();
  if (field && !open.isNew) follow(list);
  const current = list.find(({ id }) => id === open.id);
  const pair = current && pairOf(current, list);
  const parts = [drawList(list, current)];
  if (pair && !isWriting()) parts.push(drawChoice(pair));
  else if (current || open.isNew) parts.push(drawDesk(current, pair));
  else if (open.id) parts.push(element("div", { class: "card draft-desk" }, element("p", { class: "soft" }, "That draft is not here any more.")));
  const [listed, ...desk] = parts;
  replace("draft-list", listed);
  if (desk[0]?.isConnected) return;
  const served = root.querySelector("form:not([data-live-desk]) textarea");
  root.querySelectorAll(".draft-desk, .draft-choice").forEach((old) => old.remove());
  root.append(...desk);
  root.classList.toggle("is-open", desk.length > 0);
  if (!field?.isConnected) field = undefined;
  if (field && served) adopt(served);
  if (field) measure();
}

/** What was typed before this script was there stays. */
function adopt(served) {
  if (served.value === served.defaultValue) return;
  field.value = served.value;
  field.focus();
  field.setSelectionRange(served.selectionStart, served.selectionEnd);
  onInput();
}

/** Whether nobody is signed in here any more, or somebody else. */
const isLeft = async () => (await read(["marks"], isOver)) || (!root.dataset.account && (await here()) !== account);

function clear() {
  clearTimeout(typing);
  field = undefined;
  root.replaceChildren();
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

const isWriting = () => field?.isConnected && (document.activeElement === field || typing || field.value !== field.dataset.kept);

/** After a conflict the writing goes on in the draft that keeps it. */
function follow(list) {
  const kept = clean(field.dataset.kept);
  const own = list.find(({ id }) => id === open.id);
  if (!open.isWritten || own?.waiting || own?.text === kept) return;
  const moved = list.find(({ text, conflictOf }) => text === kept && (own ? conflictOf === open.id : !conflictOf));
  if (!moved) return;
  open = { id: moved.id, isNew: false, isWritten: true, base: { version: moved.version, text: kept } };
  field.dataset.draft = moved.id;
  history.replaceState(null, "", address(moved.id));
}

function pairOf(draft, list) {
  const other = list.find(({ id, conflictOf }) => id === draft.conflictOf || (conflictOf === draft.id && id !== draft.id));
  if (!other || other.waiting || draft.waiting) return undefined;
  return draft.conflictOf === other.id ? [other, draft] : [draft, other];
}

function drawList(list, current) {
  const rows = list.map((draft) => element("li", { class: "draft-row" },
    element("a", { href: address(draft.id), "aria-current": draft.id === current?.id ? "true" : undefined, click: follows(draft.id) },
      element("b", {}, firstLine(draft.text)),
      element("span", { class: "row-line" }, ago(draft.updatedAt), where(draft)),
      tagOf(draft, list))));
  return element("div", { class: "card draft-list", id: "draft-list" },
    list.length > 0 ? element("ul", { role: "list" }, ...rows) : element("p", { class: "empty" }, "No drafts yet. Begin one: it is saved while you write."));
}

const follows = (id) => (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(id);
};

const firstLine = (text) => text.trim().split("\n")[0].slice(0, 120) || "Empty draft";
const where = ({ waiting, updatedOn }) => (waiting ? " · on this device" : updatedOn ? ` · ${updatedOn}` : "");

function tagOf(draft, list) {
  if (draft.aside) return element("span", { class: "tag warm" }, "Not saved");
  if (draft.waiting) return element("span", { class: "tag" }, "Waiting");
  if (pairOf(draft, list)) return element("span", { class: "tag warm" }, "Two versions");
  return undefined;
}

function drawDesk(draft, pair) {
  const text = draft?.aside?.text ?? draft?.text ?? "";
  if (field?.isConnected && field.dataset.draft === open.id) {
    if (!draft?.waiting && field.value === field.dataset.kept) takeNews(draft, text);
    const desk = field.closest(".draft-desk");
    desk.querySelector("#draft-delete").hidden = !draft;
    desk.querySelector(".draft-news").replaceChildren(...news(draft, pair));
    tell(typing ? "Saving" : draft?.waiting ? (standing === "saved" ? "Saving" : WORDS[standing]) : draft ? WORDS.saved : "");
    return desk;
  }
  open.base = { version: draft?.version ?? 0, text };
  field = element("textarea", { id: "draft-text", rows: "12", "data-draft": open.id, spellcheck: "true", "aria-describedby": "draft-count draft-state", input: onInput, blur: keepNow }, text);
  field.dataset.kept = field.value;
  return element("form", { class: "card draft-desk", "data-live-desk": true, submit: (event) => { event.preventDefault(); keepNow().then(() => go(null)); } },
    element("div", { class: "draft-news" }, ...news(draft, pair)),
    element("div", { class: "field" }, element("label", { for: "draft-text" }, "Your post"), field),
    element("div", { class: "draft-foot" },
      element("p", { class: "soft", id: "draft-count" }),
      element("p", { class: "soft", id: "draft-state", role: "status" }, draft?.waiting ? WORDS[standing] : draft ? WORDS.saved : "")),
    element("div", { class: "answers" },
      element("button", { class: "button main", type: "submit" }, "Done"),
      element("button", { class: "button ghost ends", type: "button", id: "draft-delete", hidden: !draft, click: erase }, "Delete")));
}

/** Somebody else has written in the draft that is open, and nothing is written here. */
function takeNews(draft, text) {
  if (field.value !== text) {
    const [start, end, atEnd] = [field.selectionStart, field.selectionEnd, field.selectionEnd === field.value.length];
    field.value = text;
    field.dataset.kept = field.value;
    if (document.activeElement === field) field.setSelectionRange(atEnd ? text.length : start, atEnd ? text.length : end);
    measure();
  }
  open.base = { version: draft?.version ?? 0, text };
}

function news(draft, pair) {
  if (pair) {
    const see = () => { field.blur(); keepNow().then(draw); };
    return [element("div", { class: "notice warm", role: "status" },
      element("p", {}, "This draft was also written elsewhere. Both are kept. "),
      element("button", { class: "button small", type: "button", click: see }, "See both"))];
  }
  if (draft?.aside) {
    const { seq, problem } = draft.aside;
    return [element("div", { class: "notice warm", role: "alert" },
      element("p", {}, `This could not be saved: ${problem?.detail ?? "it was refused"}.`),
      element("div", { class: "answers" },
        element("button", { class: "button small", type: "button", click: () => retry(account, seq).then(flush) }, "Try again"),
        element("button", { class: "button small ends", type: "button", click: () => discard(seq).then(() => show(draft.version ? draft.id : null)) }, "Give up this change")))];
  }
  if (!draft?.updatedOn || draft.waiting) return [];
  return [element("p", { class: "soft" }, `Last written on ${draft.updatedOn}, `, ago(draft.updatedAt))];
}

async function erase() {
  clearTimeout(typing);
  field = undefined;
  const draft = (await drafts(account)).find(({ id }) => id === open.id);
  if (!draft) return go(null);
  await remove(account, draft.id, draft.version ? draft : undefined);
  flush();
  await go(null);
}

// --- two versions

function drawChoice([one, other]) {
  field = undefined;
  const version = (draft, name, keep) => element("section", { class: "card version", "aria-labelledby": `version-${name}` },
    element("h2", { id: `version-${name}`, tabindex: "-1" }, name === "first" ? "This one" : "The other one"),
    element("p", { class: "soft" }, `Written on ${draft.updatedOn ?? "this device"}, `, ago(draft.updatedAt)),
    element("p", { class: "version-text" }, draft.text || "Empty draft"),
    element("button", { class: "button main", type: "button", click: keep }, `Keep ${name === "first" ? "this one" : "the other one"}`));
  return element("div", { class: "draft-choice" },
    element("div", { class: "notice warm" }, element("p", {}, "This draft was written in two places at once. Both are here: keep one, or both.")),
    element("div", { class: "versions" },
      version(one, "first", () => choose(one, other, false)),
      version(other, "second", () => choose(one, other, true))),
    root.dataset.token && element("button", { class: "button", type: "button", click: () => keepBoth(other) }, "Keep both"));
}

/** The first of the two lives on, with the text that is chosen. */
async function choose(one, other, isOther) {
  if (isOther) await write(account, one.id, other.text, one);
  await remove(account, other.id, other);
  flush();
  await go(one.id);
}

/** As a form does it: what a draft came from is nothing that a device changes by itself. */
async function keepBoth(other) {
  const body = new URLSearchParams({ csrf: root.dataset.token, both: other.id });
  const answer = await fetch("/drafts", { method: "POST", body, redirect: "manual" }).catch(() => undefined);
  // Nothing has happened: the choice stays.
  if (answer?.type !== "opaqueredirect") return;
  await flush();
  await go(other.id);
}

// --- beginning

/**
 * The draft that the page came with is known here from now on, even if the network goes before anything else comes: unless
 * what is known here is as new as the page, or is not of its session.
 */
async function seed() {
  const desk = root.querySelector(".draft-desk[data-version]");
  if (!desk) return;
  const revision = Number(root.dataset.revision);
  const { draft: id, at: updatedAt, on: updatedOn } = desk.dataset;
  const [version, text] = [Number(desk.dataset.version), desk.querySelector("textarea").defaultValue];
  await change(["people", "drafts"], async ({ people, drafts }) => {
    const person = await people.get(account);
    if (person?.sessionId !== document.documentElement.dataset.session || person.revision >= revision) return;
    const kept = await drafts.get([account, id]);
    if (!kept || kept.version < version) await drafts.put({ account, id, text, version, updatedAt, updatedOn });
  });
}

let drawing = Promise.resolve();
const redraw = () => { drawing = drawing.then(draw).catch(reportError); };

async function begin() {
  const signedIn = root.dataset.account;
  account = signedIn || (await here());
  if (!account) return;
  await serve(account);
  if (signedIn) await seed();
  // What is on its way is waited for, but not for long: the page works by forms meanwhile.
  if (signedIn) await Promise.race([flush(), new Promise((late) => { setTimeout(late, 3_000); })]);
  await show(asked());
  changes.addEventListener("message", redraw);
  addEventListener("popstate", async () => {
    if (await keepNow()) await show(asked());
    else history.pushState(null, "", address(open.id));
  });
  addEventListener("beforeunload", (event) => {
    if (field?.isConnected && count(field.value) > MOST) event.preventDefault();
  });
  for (const name of ["online", "pageshow"]) addEventListener(name, flush);
  addEventListener("pagehide", keepNow);
  document.addEventListener("visibilitychange", () => (document.hidden ? keepNow() : flush()));
  document.addEventListener("drafts-changed", flush);
  document.querySelectorAll("[data-new-draft]").forEach((link) => link.addEventListener("click", follows("new")));
}

if (root) begin().catch(reportError);

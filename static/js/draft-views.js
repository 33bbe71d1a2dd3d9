// The views of drafts.js: the list of drafts, the notice about one draft, and the choice between two versions.
// drafts.js supplies what each button does. A view is redrawn only if its content has changed, so that it does not
// disturb a person who is using it.

import { differences } from "./differences.js";

/** Creates an element. A function among the attributes becomes the listener for the event of that name. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** A time element, whose text times.js keeps current. */
export const ago = (iso) => element("time", { datetime: iso, "data-style": "relative" }, element("span", { "data-words": "" }), element("span", { class: "sr-only", "data-exact": "" }));

export const draftUrl = (id) => (id ? `/drafts?draft=${encodeURIComponent(id)}` : "/drafts");

/** The text of a draft on this device. Text that was set aside comes first, since it is stored nowhere else. */
export const textOf = (draft) => draft?.aside?.text ?? draft?.text ?? "";

/** The text and version that an edit of the shown draft builds on. */
export const baseOf = (draft) => ({ version: draft?.aside?.baseVersion ?? draft?.version ?? 0, text: textOf(draft) });

/**
 * A draft and the version that a conflict split off from it, in this order. Undefined if there is no such version, or
 * while either has unsent changes.
 */
export function pairOf(draft, list) {
  const counterpart = list.find(({ id, conflictOf }) => id === draft.conflictOf || (conflictOf === draft.id && id !== draft.id));
  if (!counterpart || [draft, counterpart].some(({ waiting, aside }) => waiting || aside)) return undefined;
  return draft.conflictOf === counterpart.id ? [counterpart, draft] : [draft, counterpart];
}

/** Why a draft could not be saved. Uses the service's own words if they are written for people. */
function reasonOf({ type, detail } = {}) {
  if (type === "too-long") return "it is too long";
  return /^(an account|a draft) has /.test(detail ?? "") ? detail.replace(/\.$/, "") : "it was not accepted";
}

/** The list of drafts. `openOnClick(id)` returns the click handler for a draft's link. */
export function drawList(list, current, openOnClick) {
  const rows = list.map((draft) => element("li", { class: "draft-row" },
    element("a", { href: draftUrl(draft.id), "aria-current": draft.id === current?.id ? "true" : undefined, click: openOnClick(draft.id) },
      element("b", {}, firstLine(textOf(draft))),
      element("span", { class: "row-line" }, ago(draft.updatedAt), savedWhere(draft)),
      tagOf(draft, list))));
  return element("div", { class: "card draft-list", id: "draft-list" },
    list.length > 0 ? element("ul", { role: "list" }, ...rows) : element("p", { class: "empty" }, "No drafts yet. Start one: it is saved while you write."));
}

const MAX_LINE_LENGTH = 120;

/** The first line, shortened as on the server's list: after a whole word if one ends near the limit. */
function firstLine(text) {
  const line = text.trim().split("\n")[0];
  const letters = [...line];
  if (letters.length <= MAX_LINE_LENGTH) return line || "Empty draft";
  const shortened = letters.slice(0, MAX_LINE_LENGTH - 1).join("");
  const wordEnd = shortened.search(/\s\S*$/);
  return `${(wordEnd >= shortened.length * 0.75 ? shortened.slice(0, wordEnd) : shortened).trimEnd()}…`;
}
const savedWhere = ({ waiting, updatedOn }) => (waiting ? " · on this device" : updatedOn ? ` · ${updatedOn}` : "");

function tagOf(draft, list) {
  if (draft.aside) return element("span", { class: "tag warm" }, "Not saved");
  if (draft.waiting) return element("span", { class: "tag" }, "Waiting");
  if (pairOf(draft, list)) return element("span", { class: "tag warm" }, "Two versions");
  return undefined;
}

/** The content that each view was drawn from, as JSON. */
const drawnFrom = new WeakMap();

/** Draws the notice about a draft into `place`. `handlers` are the click handlers of its buttons. */
export function drawNotice(place, draft, pair, handlers) {
  const { aside, waiting, updatedOn, updatedAt } = draft ?? {};
  const content = JSON.stringify(pair ? "pair" : (aside && { problem: aside.problem }) ?? [waiting, updatedOn, updatedAt]);
  if (drawnFrom.get(place) === content) return;
  drawnFrom.set(place, content);
  place.replaceChildren(...noticeOf(draft, pair, handlers));
}

/** A copy of the icon in the page's template element. */
const alertIcon = () => document.getElementById("alert-icon")?.content.cloneNode(true);

function noticeOf(draft, pair, { seeBoth, tryAgain, giveUp }) {
  const button = (label, click, classes = "") => element("button", { class: `button small${classes}`, type: "button", click }, label);
  if (pair) {
    return [element("div", { class: "notice warm", role: "status" }, alertIcon(),
      element("p", {}, "This draft was also written elsewhere. Both are kept. "),
      button("See both", seeBoth))];
  }
  if (draft?.aside) {
    const { problem } = draft.aside;
    return [element("div", { class: "notice warm", role: "alert" }, alertIcon(),
      element("p", {}, `This could not be saved: ${reasonOf(problem)}.`),
      element("div", { class: "answers" },
        problem?.type !== "too-long" && button("Try again", tryAgain),
        button("Discard this change", giveUp, " ends")))];
  }
  if (!draft?.updatedOn || draft.waiting) return [];
  return [element("p", { class: "soft" }, `Last written on ${draft.updatedOn}, `, ago(draft.updatedAt))];
}

const marked = ({ text, isOnlyHere }) => (isOnlyHere ? element("mark", {}, text) : text);

/**
 * Draws two versions side by side, or returns `old` if it shows the same. `handlers` are the click handlers of the
 * buttons.
 */
export function drawChoice(old, pair, handlers) {
  const content = JSON.stringify(pair.map(({ id, version, updatedOn, updatedAt }) => [id, version, updatedOn, updatedAt]));
  if (old && drawnFrom.get(old) === content) return old;
  const [firstText, secondText] = differences(...pair.map(({ text }) => text));
  const version = (draft, name, keep, text) => element("section", { class: "card version", "aria-label": name === "first" ? "First version" : "Second version" },
    element("h2", { id: `version-${name}`, tabindex: "-1" }, `From ${draft.updatedOn ?? "this device"}, `, ago(draft.updatedAt)),
    element("p", { class: "version-text" }, ...(draft.text ? text.map(marked) : ["Empty draft"])),
    element("button", { class: "button main", type: "button", "aria-describedby": `version-${name}`, click: keep }, "Keep this version"));
  const node = element("div", { class: "draft-choice" },
    element("div", { class: "notice warm" }, alertIcon(), element("p", {}, "This draft was written in two places at once. Both are here, with the differences marked: keep one, or both.")),
    element("div", { class: "versions" },
      version(pair[0], "first", handlers.first, firstText),
      version(pair[1], "second", handlers.second, secondText)),
    handlers.both && element("button", { class: "button", type: "button", click: handlers.both }, "Keep both"));
  drawnFrom.set(node, content);
  return node;
}

// How drafts are shown: the list of them, the news of one, and two versions to choose from. Draws for the drafts (drafts.js),
// which says what each button does. Nothing is drawn anew under somebody's hands that says the same as before.

/** An element; a function among its attributes listens for the event of that name. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

/** A time, in words that times.js keeps fresh. */
export const ago = (iso) => element("time", { datetime: iso, "data-style": "relative" }, element("span", { "data-words": "" }), element("span", { class: "sr-only", "data-exact": "" }));

export const address = (id) => (id ? `/drafts?draft=${encodeURIComponent(id)}` : "/drafts");

/** What a draft says here: what was set aside of it comes first, since it is nowhere else. */
export const textOf = (draft) => draft?.aside?.text ?? draft?.text ?? "";

/** What is written on when somebody writes in a draft as it is shown. */
export const baseOf = (draft) => ({ version: draft?.aside?.baseVersion ?? draft?.version ?? 0, text: textOf(draft) });

/** A draft and what was split off it, if nothing of either is on its way. */
export function pairOf(draft, list) {
  const other = list.find(({ id, conflictOf }) => id === draft.conflictOf || (conflictOf === draft.id && id !== draft.id));
  if (!other || [draft, other].some(({ waiting, aside }) => waiting || aside)) return undefined;
  return draft.conflictOf === other.id ? [other, draft] : [draft, other];
}

/** Why a draft could not be saved, in plain words: the service's own where they are for people. */
function reasonOf({ type, detail } = {}) {
  if (type === "too-long") return "it is too long";
  return /^(an account|a draft) has /.test(detail ?? "") ? detail.replace(/\.$/, "") : "Sessile did not accept it";
}

/** The list; `follows(id)` makes what is done when one of it is pressed. */
export function drawList(list, current, follows) {
  const rows = list.map((draft) => element("li", { class: "draft-row" },
    element("a", { href: address(draft.id), "aria-current": draft.id === current?.id ? "true" : undefined, click: follows(draft.id) },
      element("b", {}, firstLine(textOf(draft))),
      element("span", { class: "row-line" }, ago(draft.updatedAt), where(draft)),
      tagOf(draft, list))));
  return element("div", { class: "card draft-list", id: "draft-list" },
    list.length > 0 ? element("ul", { role: "list" }, ...rows) : element("p", { class: "empty" }, "No drafts yet. Start one: it is saved while you write."));
}

const LONGEST_LINE = 120;

/** The first line, cut after a whole word where one ends near, as the server's list shows it. */
function firstLine(text) {
  const line = text.trim().split("\n")[0];
  const letters = [...line];
  if (letters.length <= LONGEST_LINE) return line || "Empty draft";
  const kept = letters.slice(0, LONGEST_LINE - 1).join("");
  const wordEnd = kept.search(/\s\S*$/);
  return `${(wordEnd >= kept.length * 0.75 ? kept.slice(0, wordEnd) : kept).trimEnd()}…`;
}
const where = ({ waiting, updatedOn }) => (waiting ? " · on this device" : updatedOn ? ` · ${updatedOn}` : "");

function tagOf(draft, list) {
  if (draft.aside) return element("span", { class: "tag warm" }, "Not saved");
  if (draft.waiting) return element("span", { class: "tag" }, "Waiting");
  if (pairOf(draft, list)) return element("span", { class: "tag warm" }, "Two versions");
  return undefined;
}

/** What was drawn from what. */
const drawn = new WeakMap();

/** Draws what is to be said of a draft into its place; `answers` are what its buttons do. */
export function drawNews(place, draft, pair, answers) {
  const { aside, waiting, updatedOn, updatedAt } = draft ?? {};
  const said = JSON.stringify(pair ? "pair" : (aside && { problem: aside.problem }) ?? [waiting, updatedOn, updatedAt]);
  if (drawn.get(place) === said) return;
  drawn.set(place, said);
  place.replaceChildren(...news(draft, pair, answers));
}

/** A copy of the icon that the page brought along. */
const alertIcon = () => document.getElementById("alert-icon")?.content.cloneNode(true);

function news(draft, pair, { seeBoth, tryAgain, giveUp }) {
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

/** Two versions side by side, or `old` if it shows these; `answers` are what is done with the one, the other, and both. */
export function drawChoice(old, pair, answers) {
  const said = JSON.stringify(pair.map(({ id, version, updatedOn, updatedAt }) => [id, version, updatedOn, updatedAt]));
  if (old && drawn.get(old) === said) return old;
  const version = (draft, name, keep) => element("section", { class: "card version", "aria-labelledby": `version-${name}` },
    element("h2", { id: `version-${name}`, tabindex: "-1" }, `From ${draft.updatedOn ?? "this device"}, `, ago(draft.updatedAt)),
    element("p", { class: "version-text" }, draft.text || "Empty draft"),
    element("button", { class: "button main", type: "button", "aria-describedby": `version-${name}`, click: keep }, "Keep this version"));
  const made = element("div", { class: "draft-choice" },
    element("div", { class: "notice warm" }, alertIcon(), element("p", {}, "This draft was written in two places at once. Both are here: keep one, or both.")),
    element("div", { class: "versions" },
      version(pair[0], "first", answers.one),
      version(pair[1], "second", answers.other)),
    answers.both && element("button", { class: "button", type: "button", click: answers.both }, "Keep both"));
  drawn.set(made, said);
  return made;
}

// Marks in which words two versions of a draft differ, as src/pages/drafts/differences.rs does on the server.

/** Most pairs of words that are compared. Beyond it, everything between the common beginning and the common end is marked. */
const MOST_PAIRS = 250_000;

/** Both texts in parts: `[[{ text, isOnlyHere }], [{ text, isOnlyHere }]]`. */
export function differences(one, other) {
  const [a, b] = [one, other].map((text) => text.match(/\s+|\S+/g) ?? []);
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const common = commonWords(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return [a, b].map((words, side) => joined(words, (at) => at < start || at >= words.length - end || common[side].has(at - start)));
}

/** The positions of a longest common subsequence, a set for each side. */
function commonWords(a, b) {
  const common = [new Set(), new Set()];
  if (a.length * b.length > MOST_PAIRS) return common;
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let at = a.length - 1; at >= 0; at -= 1) {
    for (let to = b.length - 1; to >= 0; to -= 1) {
      longest[at * width + to] = a[at] === b[to]
        ? longest[(at + 1) * width + to + 1] + 1
        : Math.max(longest[(at + 1) * width + to], longest[at * width + to + 1]);
    }
  }
  for (let at = 0, to = 0; at < a.length && to < b.length;) {
    if (a[at] === b[to]) {
      common[0].add(at);
      common[1].add(to);
      at += 1;
      to += 1;
    } else if (longest[(at + 1) * width + to] >= longest[at * width + to + 1]) at += 1;
    else to += 1;
  }
  return common;
}

function joined(words, isInBoth) {
  const parts = [];
  words.forEach((word, at) => {
    const isOnlyHere = !isInBoth(at);
    const last = parts.at(-1);
    if (last?.isOnlyHere === isOnlyHere) last.text += word;
    else parts.push({ text: word, isOnlyHere });
  });
  return parts;
}

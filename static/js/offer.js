// One quiet line at the foot of the page, with one button.

/**
 * Shows `words` and a button that does `act`, in the place of the line that stands there. With a `time` in milliseconds the
 * line goes after it, and the one that stood there before comes back.
 */
export function offer(words, label, act, time) {
  const before = document.querySelector(".offer");
  before?.remove();
  const line = document.createElement("div");
  line.className = "offer";
  line.setAttribute("role", "status");
  const text = document.createElement("p");
  text.textContent = words;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button main";
  button.textContent = label;
  const end = () => {
    if (!line.isConnected) return;
    line.remove();
    if (time && before) document.body.append(before);
  };
  button.addEventListener("click", () => {
    end();
    act();
  });
  // Empty at first, so that it is read out when it is filled.
  document.body.append(line);
  line.append(text, button);
  if (time) setTimeout(() => fade(line, end), time);
}

/** Ends a line, but not under a finger or the keyboard's focus. */
function fade(line, end) {
  if (line.matches(":hover, :focus-within")) setTimeout(() => fade(line, end), 2_000);
  else end();
}

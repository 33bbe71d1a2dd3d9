// Shows one line with one button at the foot of the page.

/**
 * Shows `words` and a button that calls `act`, and replaces the line shown before. With `time`, in milliseconds, the
 * new line disappears after that time and the previous one returns.
 */
export function offer(words, label, act, time) {
  const previous = document.querySelector(".offer");
  previous?.remove();
  const line = document.createElement("div");
  line.className = "offer";
  line.setAttribute("role", "status");
  const text = document.createElement("p");
  text.textContent = words;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button main";
  button.textContent = label;
  const remove = () => {
    if (!line.isConnected) return;
    line.remove();
    if (time && previous) document.body.append(previous);
  };
  button.addEventListener("click", () => {
    remove();
    act();
  });
  // Insert the empty live region first, so that screen readers announce its content.
  document.body.append(line);
  line.append(text, button);
  if (time) setTimeout(() => removeWhenIdle(line, remove), time);
}

/** Removes a line, but not while the pointer or the keyboard focus is on it. */
function removeWhenIdle(line, remove) {
  if (line.matches(":hover, :focus-within")) setTimeout(() => removeWhenIdle(line, remove), 2_000);
  else remove();
}

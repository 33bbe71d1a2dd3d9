// One quiet line at the foot of the page, with one button.

/** Shows `words` and a button that does `act`; it takes the place of what was offered before. */
export function offer(words, label, act) {
  document.querySelector(".offer")?.remove();
  const line = document.createElement("div");
  line.className = "offer";
  line.setAttribute("role", "status");
  const text = document.createElement("p");
  text.textContent = words;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button main";
  button.textContent = label;
  button.addEventListener("click", () => {
    line.remove();
    act();
  });
  // Empty at first, so that it is read out when it is filled.
  document.body.append(line);
  line.append(text, button);
}

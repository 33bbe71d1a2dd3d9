// A button beside each password shows what was typed; without scripts it stays hidden.
for (const place of document.querySelectorAll("[data-show-password]")) {
  const input = place.querySelector("input");
  const button = place.querySelector("button");
  const word = place.querySelector("[data-word]");

  const show = (shown) => {
    input.type = shown ? "text" : "password";
    word.textContent = shown ? "Hide" : "Show";
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    show(input.type === "password");
    input.focus();
  });
  // Browsers offer to save only what is sent from a password field.
  input.form.addEventListener("submit", () => show(false));
}

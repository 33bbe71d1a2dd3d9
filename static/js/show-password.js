// Shows and hides the password in each field. Without scripts the button stays hidden.
for (const wrapper of document.querySelectorAll("[data-show-password]")) {
  const input = wrapper.querySelector("input");
  const button = wrapper.querySelector("button");
  const label = wrapper.querySelector("[data-word]");

  const show = (shown) => {
    input.type = shown ? "text" : "password";
    label.textContent = shown ? "Hide" : "Show";
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    show(input.type === "password");
    input.focus();
  });
  // Browsers offer to save a password only if it is submitted from a password field.
  input.form.addEventListener("submit", () => show(false));
}

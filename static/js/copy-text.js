// Copies the text of the element that a button names. The buttons stay hidden where no script may use the clipboard, as
// on plain http.
const status = document.querySelector("[data-copied]");

for (const button of navigator.clipboard ? document.querySelectorAll("[data-copies]") : []) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const { textContent } = document.getElementById(button.dataset.copies);
    const isCopied = await navigator.clipboard.writeText(textContent).then(() => true, () => false);
    status.textContent = isCopied ? "Copied" : "Not copied: select the text";
    button.classList.toggle("is-copied", isCopied);
  });
}

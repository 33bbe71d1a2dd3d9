// Copies the code of an error page. The button stays hidden where no script may use the clipboard, as on plain http.
const button = document.querySelector("[data-copy]");
const status = document.querySelector("[data-copied]");

if (button && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const isCopied = await navigator.clipboard.writeText(button.dataset.copy).then(() => true, () => false);
    status.textContent = isCopied ? "Copied" : "Not copied: select the code";
  });
}

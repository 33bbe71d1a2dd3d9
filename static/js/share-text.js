// Hands the text of the element that a button names to the share sheet of the phone. The buttons stay hidden where there is
// none.
for (const button of navigator.share ? document.querySelectorAll("[data-shares]") : []) {
  const url = document.getElementById(button.dataset.shares).textContent;
  if (navigator.canShare && !navigator.canShare({ url })) continue;
  button.hidden = false;
  // A person who closes the sheet has changed their mind.
  button.addEventListener("click", () => navigator.share({ url }).catch(() => {}));
}

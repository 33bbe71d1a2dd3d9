// Carries the typed address between the sign-in and the sign-up page. An address in a link would stay in the history and
// in logs. It is kept for this tab only, until the other page has read it.

const KEY = "carried-email";
const field = document.querySelector("#email");

try {
  const carried = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  if (carried && field && !field.value) {
    field.value = carried;
    // The browser may not have set the focus yet. It leaves the focus alone once something has it.
    const isNext = field.autofocus && [field, document.body].includes(document.activeElement);
    if (isNext) document.querySelector("#password")?.focus();
  }
  for (const link of document.querySelectorAll("[data-carry-email]")) {
    link.addEventListener("click", () => { if (field?.value) sessionStorage.setItem(KEY, field.value); });
  }
} catch {
  // Without storage the address is typed again.
}

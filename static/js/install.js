// Offers to install the app: with a button where the browser can ask, with instructions on iOS, and not at all once it
// is installed.

const card = document.querySelector("[data-install]");
const button = card?.querySelector("button");
const instructions = card?.querySelector("[data-in-words]");
const isInstalled = () => matchMedia("(display-mode: standalone)").matches || navigator.standalone === true;

let installPrompt = null;

function show() {
  // Only Safari on iOS defines `navigator.standalone`.
  const isIos = navigator.standalone === false;
  button.hidden = !installPrompt;
  instructions.hidden = Boolean(installPrompt) || !isIos;
  card.hidden = isInstalled() || !(installPrompt || isIos);
}

if (card) {
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    installPrompt = event;
    show();
  });
  addEventListener("appinstalled", () => { card.hidden = true; });
  button.addEventListener("click", async () => {
    const prompt = installPrompt;
    installPrompt = null;
    await prompt?.prompt();
    show();
  });
  show();
}

// Offers to install the app: with a button where the browser can ask, with instructions on iOS, and not at all once it
// is installed. Loads the offer of a passkey on a device that can have one.

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

/** The device has a fingerprint, face or PIN check. */
const canHavePasskey = () => window.PublicKeyCredential?.isUserVerifyingPlatformAuthenticatorAvailable?.();

const place = document.querySelector("[data-passkey-offer]");
if (place && (await canHavePasskey())) (await import("./passkey-offer.js")).offer(place).catch(() => {});

// Offers to put the app on the home screen: with a button where the browser has one, in words where it has not (iOS), and
// not at all once it is there.

const card = document.querySelector("[data-install]");
const button = card?.querySelector("button");
const inWords = card?.querySelector("[data-in-words]");
const isInstalled = () => matchMedia("(display-mode: standalone)").matches || navigator.standalone === true;

let question = null;

function show() {
  // Only Safari on iOS knows this word.
  const byHand = navigator.standalone === false;
  button.hidden = !question;
  inWords.hidden = Boolean(question) || !byHand;
  card.hidden = isInstalled() || !(question || byHand);
}

if (card) {
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    question = event;
    show();
  });
  addEventListener("appinstalled", () => { card.hidden = true; });
  button.addEventListener("click", async () => {
    const asked = question;
    question = null;
    await asked?.prompt();
    show();
  });
  show();
}

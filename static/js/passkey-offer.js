// Offers once to make a passkey. The service remembers that the person was asked.

const CARD = `
  <h2 id="passkey-offer-head">Sign in faster next time?</h2>
  <p class="soft">With a passkey you sign in with the fingerprint, face or PIN check of this device, without a password.</p>
  <p class="deeds">
    <a class="button main" href="/account/security#passkeys">Make a passkey…</a>
    <button class="button ghost" type="button">Not now</button>
  </p>`;

/** Shows the offer at this place, unless the person was asked before. */
export async function offer(place) {
  const answer = await fetch("/api/passkeys/offer", { method: "POST", cache: "no-store", redirect: "manual" });
  if (!answer.ok || !(await answer.json()).offer) return;
  const card = document.createElement("section");
  card.className = "card offered";
  card.setAttribute("aria-labelledby", "passkey-offer-head");
  card.innerHTML = CARD;
  card.querySelector("button").addEventListener("click", () => card.remove());
  place.replaceWith(card);
}

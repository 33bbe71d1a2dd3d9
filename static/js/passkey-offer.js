// Offers once to make a passkey, on a device that can: it has a fingerprint, face or PIN check. The service remembers that
// the person was asked.

const card = document.querySelector("[data-passkey-offer]");
const PK = window.PublicKeyCredential;

async function offer() {
  if (!(await PK?.isUserVerifyingPlatformAuthenticatorAvailable?.())) return;
  const answer = await fetch("/api/passkeys/offer", { method: "POST", cache: "no-store", redirect: "manual" });
  if (!answer.ok || !(await answer.json()).offer) return;
  card.querySelector("[data-not-now]").addEventListener("click", () => { card.hidden = true; });
  card.hidden = false;
}

if (card) offer().catch(() => {});

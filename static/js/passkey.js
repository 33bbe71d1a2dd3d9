// Signs in with a passkey, adds one, and confirms with one. Buttons with `data-passkey` stay hidden where the browser has
// no passkeys. On a page with a button to sign in, an address field with `autocomplete="username webauthn"` offers
// passkeys too. Browsers allow one request at a time, so a press of a button aborts the one that waits in the field.

import { creationOptions, credentialJson, requestOptions } from "./passkey-json.js";

const PK = window.PublicKeyCredential;
/** The service takes an answer for ten minutes, so a question that waits in the field is replaced before that. */
const MAX_WAIT = 8 * 60_000;
const TIMEOUT = 20_000;
const USES = { "sign-in": signIn, add, confirm };

/** Of the request that the browser shows, or that waits in the field. */
let request = new AbortController();
let isBusy = false;
/** When the question was asked that waits in the field; 0 if none does. */
let waitsSince = 0;

/** The answer of the service, or of the device, that the person has to know. */
class Failure extends Error {}

function begin() {
  request.abort();
  request = new AbortController();
  waitsSince = 0;
  return request.signal;
}

// --- the service

async function post(path, body = {}) {
  let answer;
  try {
    answer = await fetch(`/api/passkeys${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT),
    });
  } catch {
    throw new Failure("The service cannot be reached. Try again.");
  }
  const type = answer.headers.get("Content-Type") ?? "";
  // A proxy may have answered with its own page.
  const isOurs = answer.headers.has("X-Request-Id") && type.startsWith(answer.ok ? "application/json" : "application/problem+json");
  if (!isOurs) throw new Failure("The service cannot be reached. Try again.");
  const content = await answer.json();
  if (answer.ok) return content;
  throw Object.assign(new Failure(sentence(content.detail)), { status: answer.status, type: content.type });
}

const sentence = (words = "Something went wrong") => `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;

// --- the three uses

async function signIn({ dataset }, signal, mediation) {
  // After a right password the passkey is the second factor.
  const second = dataset.second !== undefined;
  const { options, state } = await post("/sign-in/options", { second });
  if (signal.aborted) return;
  if (mediation) waitsSince = Date.now();
  const credential = await get(options, signal, mediation);
  // The person has chosen a passkey in the field. From here on it is as if they had pressed the button.
  if (mediation) setBusy(document.querySelector('[data-passkey="sign-in"]'));
  waitsSince = 0;
  // How the server recognizes an iPad, see touch-screen.js.
  const touch = navigator.maxTouchPoints > 0 ? "?touch=1" : "";
  try {
    location.assign((await post(`/sign-in${touch}`, { state, credential, second, next: dataset.next })).next);
  } catch (error) {
    if (error.type !== "passkey-unknown") throw error;
    await PK.signalUnknownCredential?.({ rpId: options.rpId, credentialId: credential.id }).catch(() => {});
    throw new Failure("This passkey was removed here. Use another one, or your password.");
  }
}

async function add({ dataset }, signal) {
  const { options, state } = await post("/options");
  if (signal.aborted) return;
  const credential = await navigator.credentials.create({ publicKey: creationOptions(options), signal });
  const name = document.querySelector("[data-passkey-name]")?.value.trim() || undefined;
  const added = await post("", { state, credential: credentialJson(credential), name });
  const next = dataset.next ?? added.next;
  if (!showCodes(added.recoveryCodes, next)) location.assign(next);
}

async function confirm({ dataset }, signal) {
  const { options, state } = await post("/confirm/options");
  if (signal.aborted) return;
  const credential = await get(options, signal);
  location.assign((await post("/confirm", { state, credential, next: dataset.next, then: dataset.then })).next);
}

async function get(options, signal, mediation) {
  const credential = await navigator.credentials.get({ publicKey: requestOptions(options), signal, ...(mediation && { mediation }) });
  return credentialJson(credential);
}

/** Shows the recovery codes of the first second factor, which the service tells once. Whether there were any. */
function showCodes(codes, next) {
  const section = document.querySelector("[data-recovery-codes]");
  if (!codes?.length || !section) return false;
  section.querySelector("[data-recovery-list]").textContent = codes.join("\n");
  const link = section.querySelector("a[data-recovery-next]");
  if (link) link.href = next;
  for (const other of document.querySelectorAll("[data-recovery-hides]")) other.hidden = true;
  section.hidden = false;
  section.querySelector("h1, h2")?.focus();
  say("");
  return true;
}

// --- the page

const message = () => document.querySelector("[data-passkey-message]");

function say(words, isWrong = false) {
  const line = message();
  if (!line) return;
  line.textContent = words;
  line.classList.toggle("wrong", isWrong);
}

function setBusy(button) {
  isBusy = true;
  if (button) button.disabled = true;
}

function setIdle(button) {
  isBusy = false;
  if (!button?.disabled) return;
  button.disabled = false;
  button.focus();
}

/** What the person is told, or undefined if nothing. A cancelled prompt is not a fault. */
function describe(error, use) {
  if (error instanceof Failure) return { words: error.message, isWrong: true };
  switch (error?.name) {
    case "AbortError":
      return undefined;
    case "NotAllowedError":
      return { words: use === "add" ? "No passkey was added. You can try again." : "No passkey was used. You can try again." };
    case "InvalidStateError":
      return { words: "This device has a passkey for your account already." };
    case "SecurityError":
      return { words: "Passkeys do not work under the address of this page.", isWrong: true };
    case "NotSupportedError":
    case "ConstraintError":
      return { words: "This device cannot keep a passkey with a fingerprint, face or PIN check.", isWrong: true };
    default:
      return { words: "The passkey could not be used. Try again.", isWrong: true };
  }
}

async function press(button) {
  const use = button.dataset.passkey;
  if (isBusy || !Object.hasOwn(USES, use)) return;
  setBusy(button);
  say("");
  const signal = begin();
  try {
    await USES[use](button, signal);
    // The browser is on its way to another page. `pageshow` makes the button usable if the person comes back.
  } catch (error) {
    if (goElsewhere(error)) return;
    const told = describe(error, use);
    setIdle(button);
    if (told) say(told.words, told.isWrong);
    waitInField();
  }
}

/** Goes where the person has to sign in or confirm first. Whether they have to. */
function goElsewhere({ type }) {
  const here = encodeURIComponent(location.pathname + location.search);
  if (type === "confirmation-required") location.assign(`/confirm?level=2&next=${here}`);
  else if (type === "login-required" || type === "session-ended") location.assign(`/login?next=${here}`);
  else return false;
  return true;
}

/** Lets the address field offer passkeys, if the browser can. */
async function waitInField() {
  const button = document.querySelector('[data-passkey="sign-in"]');
  if (!button || isBusy || !document.querySelector('input[autocomplete~="webauthn"]')) return;
  const signal = begin();
  if (!(await PK.isConditionalMediationAvailable?.().catch(() => false)) || signal.aborted) return;
  try {
    await signIn(button, signal, "conditional");
  } catch (error) {
    // Nobody has asked for the question that waits, so its refusal is silent. Only a chosen passkey is spoken of.
    if (!isBusy || signal.aborted) return;
    const told = describe(error, "sign-in");
    setIdle(button);
    if (told) say(told.words, told.isWrong);
  }
}

function renewInField() {
  const isOld = waitsSince > 0 && Date.now() - waitsSince > MAX_WAIT;
  if (isOld && !isBusy && !document.hidden) waitInField();
}

/** Tells the authenticators which passkeys exist, and what the person is called now. Not all browsers can. */
async function tellAuthenticators() {
  const told = document.querySelector("[data-passkey-signal]")?.dataset;
  if (!told) return;
  const { rpId, userId } = told;
  if (told.accepted !== undefined) {
    const allAcceptedCredentialIds = told.accepted.split(" ").filter(Boolean);
    await PK.signalAllAcceptedCredentials?.({ rpId, userId, allAcceptedCredentialIds }).catch(() => {});
  }
  if (told.email) {
    const details = { rpId, userId, name: told.email, displayName: told.name || told.email };
    await PK.signalCurrentUserDetails?.(details).catch(() => {});
  }
}

function show() {
  for (const element of document.querySelectorAll("[data-passkey], [data-passkey-only]")) element.hidden = false;
}

if (PK && navigator.credentials) {
  show();
  document.addEventListener("region-refreshed", show);
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("button[data-passkey]");
    if (button) press(button);
  });
  addEventListener("pagehide", begin);
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    for (const button of document.querySelectorAll("button[data-passkey]")) button.disabled = false;
    isBusy = false;
    say("");
    waitInField();
  });
  setInterval(renewInField, 60_000);
  document.addEventListener("visibilitychange", renewInField);
  tellAuthenticators();
  waitInField();
}

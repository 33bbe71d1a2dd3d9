// Stores what this page knows about the signed-in person for times without a network, and sends unsent changes. The
// requests that only read count as unattended, so they do not extend the session.

import { flush, serve } from "./outbox.js";
import { showSignedOut } from "./signed-out.js";
import { change, changes, erasedSessions, erasureCount, get, here, pendingSignOuts, read, setHere, waiting } from "./store.js";
import { recordAnswer, statusOf } from "./state.js";
import { isSessionEnded, pauseLeft, requestSignal } from "./background-requests.js";

const MIN_INTERVAL = 60_000;
/** Smaller clock differences do not count: the `Date` header has whole seconds, and answers take time. */
const CLOCK_TOLERANCE = 5_000;
const TIMEOUT = 20_000;
const { session: sessionId, account: pageAccount } = document.documentElement.dataset;

/** The stored person whose session this page belongs to, if there is one. */
async function knownPerson() {
  const account = await here();
  const known = account && (await get("people", account));
  return known?.sessionId === sessionId ? known : undefined;
}

/** The server has made this page for a signed-in person, so a sign-out that was in progress did not happen. */
let isSignOutCancelled = false;

async function cancelSignOut() {
  if (isSignOutCancelled) return;
  isSignOutCancelled = true;
  if ((await get("marks", "leaving"))?.value.sessionId === sessionId) await change("marks", ({ marks }) => marks.delete("leaving"));
}

async function remember() {
  await cancelSignOut();
  const known = await knownPerson();
  const isFresh = known && Date.now() - Date.parse(known.devicesAsOf ?? 0) < MIN_INTERVAL;
  if (isFresh) return;
  // Show nobody's data until the server has said who is signed in.
  if (!known && (await here()) !== pageAccount) await setHere(null);
  const erasuresBefore = await read(["marks"], (stores) => erasureCount(stores, pageAccount));
  const [sessionAnswer, devicesAnswer] = await Promise.all(["/api/session", "/api/devices"].map(request));
  if (!sessionAnswer) return;
  const asOf = new Date().toISOString();
  const { user, session } = sessionAnswer.body;
  await change(["people", "marks"], async ({ people, marks }) => {
    // Store nothing about a person who has signed out meanwhile.
    const pending = (await marks.get("goodbyes"))?.value ?? [];
    const signedOut = [(await marks.get("leaving"))?.value.sessionId, ...pending, ...(await erasedSessions({ marks }))];
    if (signedOut.includes(session.id) || erasuresBefore !== (await erasureCount({ marks }, pageAccount))) return;
    const before = await people.get(user.id);
    await people.put({
      ...before,
      id: user.id,
      name: user.name,
      email: user.email,
      sessionId: session.id,
      deviceId: session.deviceId,
      expiresAt: session.expiresAt,
      absoluteExpiresAt: session.absoluteExpiresAt,
      asOf,
      ahead: sessionAnswer.ahead,
      devices: devicesAnswer ? devicesAnswer.body.devices.map(({ id, name, lastSeen, current, client, sessions }) => ({ id, name, lastSeen, current, client, sessions })) : before?.devices,
      devicesAsOf: devicesAnswer ? asOf : before?.devicesAsOf,
    });
    await marks.put({ name: "here", value: user.id });
  });
}

/** The body of an answer, and the milliseconds by which the server's clock is ahead of this device's. */
async function request(address) {
  if (pauseLeft() > 0) return undefined;
  const began = performance.now();
  try {
    const options = { headers: { "X-Unattended": "1" }, cache: "no-store", redirect: "manual", signal: requestSignal(TIMEOUT) };
    const answer = await fetch(address, options);
    recordAnswer(statusOf(answer), began);
    if (!answer.ok) return undefined;
    const body = await answer.json();
    const ahead = Date.parse(answer.headers.get("Date")) - Date.now();
    return { body, ahead: Math.abs(ahead) > CLOCK_TOLERANCE ? ahead : 0 };
  } catch {
    if (pauseLeft() === 0) recordAnswer(0, began);
    return undefined;
  }
}

/** When this page last synchronized the outbox. */
let synchronizedAt = 0;

/** Sends unsent changes, from whichever page is opened first. Without unsent changes, fetches new ones now and then. */
async function synchronize() {
  const known = await knownPerson();
  if (!known || isSessionEnded()) return;
  const isFresh = Date.now() - Math.max(synchronizedAt, Date.parse(known.draftsAsOf ?? 0)) < MIN_INTERVAL;
  if (isFresh && (await waiting(known.id)) === 0) return;
  synchronizedAt = Date.now();
  await serve(known.id);
  flush();
}

async function update() {
  // This session was signed out offline, and no worker has finished that. This page finishes it, and shows nothing
  // meanwhile.
  if ((await pendingSignOuts()).includes(sessionId)) return showSignedOut();
  await remember();
  await synchronize();
}

const updateQuietly = () => update().catch(() => {});

updateQuietly();
document.addEventListener("sessions-changed", updateQuietly);
document.addEventListener("visibilitychange", () => document.hidden || updateQuietly());
addEventListener("online", updateQuietly);

let wasStored = false;

/**
 * Whether a page of this browser has signed out this page's person offline, possibly under a newer id of the session.
 */
async function isSignedOut() {
  const [pending, isStored] = [await pendingSignOuts(), Boolean(await get("people", pageAccount))];
  wasStored ||= isStored;
  return pending.includes(sessionId) || (pending.length > 0 && wasStored && !isStored);
}

changes.addEventListener("message", async ({ data }) => {
  // If the browser has no database, the page learns of a sign-out from the service alone.
  if (data.stores?.includes("marks") && (await isSignedOut().catch(() => false))) showSignedOut();
});

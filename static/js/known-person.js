// The person whose data this device may still show while it cannot reach the server. Used by the offline page and the
// worker.

import { get, here, pendingSignOuts } from "./store.js";

/** How far the device's clock may run behind the last answer before it counts as wrong. */
const CLOCK_TOLERANCE = 2 * 60_000;

/** The person who signed in here last and has not signed out, or null. */
export async function knownPerson() {
  const account = await here();
  const person = account ? await get("people", account) : undefined;
  return person && !(await pendingSignOuts()).includes(person.sessionId) ? person : null;
}

/**
 * Milliseconds until the person's session ends by the server's clock, as far as this device knows it; 0 if it has
 * ended.
 */
export function timeLeft(person) {
  const now = Date.now();
  // If the clock was set back, a session that ended long ago would seem alive.
  if (now < Date.parse(person.asOf) - CLOCK_TOLERANCE) return 0;
  return Math.max(0, endOf(person) - now - (person.ahead ?? 0)) || 0;
}

/** When the person's session ends by the server's clock, in milliseconds since 1970. */
export const endOf = (person) => Math.min(Date.parse(person.expiresAt), Date.parse(person.absoluteExpiresAt));

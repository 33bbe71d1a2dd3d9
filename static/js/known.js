// What may still be shown of who was signed in here. Used by the page without a network and by the worker.

import { get, goodbyes, here } from "./store.js";

/** How far a clock may go back before nothing that it says is believed. */
const LITTLE = 2 * 60_000;

/** Who was signed in here and has not left, or null. */
export async function known() {
  const account = await here();
  const person = account ? await get("people", account) : undefined;
  return person && !(await goodbyes()).includes(person.sessionId) ? person : null;
}

/** Milliseconds until a person's session ends, by the server's clock as far as this device knows it; 0 if it has ended. */
export function timeLeft(person) {
  const now = Date.now();
  // A clock that was put back would show what has long ended.
  if (now < Date.parse(person.asOf) - LITTLE) return 0;
  const end = Math.min(Date.parse(person.expiresAt), Date.parse(person.absoluteExpiresAt));
  return Math.max(0, end - now - (person.ahead ?? 0)) || 0;
}

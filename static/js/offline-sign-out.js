// Signing out without a network. The browser forgets the person at once, and sends nothing else to the server until the
// server has ended the session. Pages call `signOutOffline`; the worker, or the first page that reaches the server,
// calls `finishSignOuts`.

import { withBrowserLock } from "./browser-lock.js";
import { pendingSignOuts, removePendingSignOut, signOutLocally } from "./store.js";
import { uuid } from "./uuid.js";

const END_TIMEOUT = 10_000;
/** Problem types of the server's own 401. A 401 of a proxy that wants its own sign-in has other types. */
const NOT_SIGNED_IN = ["login-required", "session-ended"];
const CANNOT_END = ["not-found", "confirmation-required"];

/** Removes the person's data from this device and records the sessions as pending sign-outs. */
export async function signOutOffline(sessionIds, account) {
  await signOutLocally(sessionIds, account);
  // Tell the worker even if it does not control this page: it may control the next one.
  const registration = await navigator.serviceWorker?.getRegistration().catch(() => undefined);
  const worker = registration?.active;
  if (!worker) return;
  await new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = resolve;
    setTimeout(resolve, 2_000);
    worker.postMessage({ name: "goodbye" }, [port2]);
  });
}

/**
 * Ends the sessions of all pending sign-outs on the server. Resolves to "done" when none is left. Otherwise the caller
 * tries again later: "away" means that the service is unavailable, "offline" that nothing answered, and "else" that
 * something other than Sessile answered, such as a proxy that wants its own sign-in.
 */
export const finishSignOuts = () =>
  withBrowserLock("goodbye", async () => {
    for (const sessionId of await pendingSignOuts()) {
      const outcome = await endSession(sessionId).catch(() => "offline");
      if (outcome !== "done") return outcome;
      await removePendingSignOut(sessionId);
    }
    return "done";
  });

async function endSession(sessionId) {
  const operation = { id: uuid(), kind: "session.logout", at: new Date().toISOString(), sessionId };
  const answer = await fetch("/api/session/sync", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Unattended": "1", "X-Goodbye": "1" },
    cache: "no-store",
    redirect: "manual",
    signal: AbortSignal.timeout(END_TIMEOUT),
    body: JSON.stringify({ operations: [operation] }),
  });
  if (answer.status >= 500) return "away";
  const type = answer.headers.get("Content-Type") ?? "";
  // This browser has no session any more, so nothing is left to end.
  if (answer.status === 401 && type.startsWith("application/problem+json") && NOT_SIGNED_IN.includes((await answer.json()).type)) return "done";
  // A network that answers every request with a page of its own has ended nothing.
  if (answer.ok && type.startsWith("application/json") && hasEnded(await answer.json())) return "done";
  return answer.headers.has("X-Request-Id") ? "away" : "else";
}

/**
 * Counts a rejection as an end where trying again is pointless: the session does not exist, or it belongs to another
 * browser and the server wants a password first.
 */
function hasEnded({ results }) {
  const [{ status, problem } = {}] = results ?? [];
  return status === "applied" || status === "duplicate" || (status === "rejected" && CANNOT_END.includes(problem?.type));
}

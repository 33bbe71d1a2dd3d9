// Signing out without a network: at once here, and on the server before anything else goes there. The pages say goodbye
// (`sayGoodbye`), the worker or the first page that reaches the server carries it out (`carryOut`).

import { exclusively } from "./exclusively.js";
import { goodbyes, leave, settle } from "./store.js";
import { uuid } from "./uuid.js";

const END_TIMEOUT = 10_000;
/** What the server calls a 401. A proxy that wants a sign-in of its own has other words. */
const NOBODY = ["login-required", "session-ended"];
const NOT_OURS = ["not-found", "confirmation-required"];

/** Forgets here whose sessions they are, and makes everything else wait until the server has ended them. */
export async function sayGoodbye(sessionIds, account) {
  await leave(sessionIds, account);
  // Also of a page that it does not control: the next one may be its.
  const known = await navigator.serviceWorker?.getRegistration().catch(() => undefined);
  const worker = known?.active;
  if (!worker) return;
  await new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    setTimeout(done, 2_000);
    worker.postMessage({ name: "goodbye" }, [port2]);
  });
}

/**
 * Ends the sessions that were left: "done" if none is left to be ended. Else it is tried again later: the service is "away",
 * nobody answered ("offline"), or somebody "else" did, such as a proxy that wants a sign-in of its own.
 */
export const carryOut = () =>
  exclusively("goodbye", async () => {
    for (const sessionId of await goodbyes()) {
      const came = await end(sessionId).catch(() => "offline");
      if (came !== "done") return came;
      await settle(sessionId);
    }
    return "done";
  });

async function end(sessionId) {
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
  // Nobody is signed in here: then that session is none of this browser's any more.
  if (answer.status === 401 && type.startsWith("application/problem+json") && NOBODY.includes((await answer.json()).type)) return "done";
  // What answers everything with a page of its own has ended nothing.
  if (answer.ok && type.startsWith("application/json") && hasEnded(await answer.json())) return "done";
  return answer.headers.has("X-Request-Id") ? "away" : "else";
}

/** One that is not found is not there; for one of another browser the server wants a password: nothing here can end it. */
function hasEnded({ results }) {
  const [{ status, problem } = {}] = results ?? [];
  return status === "applied" || status === "duplicate" || (status === "rejected" && NOT_OURS.includes(problem?.type));
}

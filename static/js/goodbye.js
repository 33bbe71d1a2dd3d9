// Signing out without a network: at once here, and on the server before anything else goes there. The pages say goodbye
// (`sayGoodbye`), the worker or the first page that reaches the server carries it out (`carryOut`).

import { goodbyes, leave, settle } from "./store.js";

const TIMEOUT = 10_000;
const exclusively = (work) => (navigator.locks ? navigator.locks.request("sessile-goodbye", work) : work());

/** Forgets here whose session it is, and makes everything else wait until the server has ended it. */
export async function sayGoodbye(sessionId, account) {
  await leave(sessionId, account);
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return;
  await new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    setTimeout(done, 2_000);
    worker.postMessage({ name: "goodbye" }, [port2]);
  });
}

/** Ends the sessions that were left. Whether none is left to be ended; a fault means that it is tried again later. */
export const carryOut = () =>
  exclusively(async () => {
    for (const sessionId of await goodbyes()) {
      if (!(await end(sessionId).catch(() => false))) return false;
      await settle(sessionId);
    }
    return true;
  });

async function end(sessionId) {
  const operation = { id: crypto.randomUUID(), kind: "session.logout", at: new Date().toISOString(), sessionId };
  const answer = await fetch("/api/session/sync", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Unattended": "1", "X-Goodbye": "1" },
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT),
    body: JSON.stringify({ operations: [operation] }),
  });
  const isProblem = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  // Nobody is signed in here: then that session is none of this browser's any more.
  if (answer.status === 401 && isProblem) return true;
  if (!answer.ok) return false;
  // One that is refused is not there, or is another browser's.
  return true;
}

// Runs on pages for signed-out visitors. Hides the stored data of the person who was signed in; it stays stored until
// they return. Completes a sign-out that was in progress or done offline. Erases a person's data if the page says that
// they ended their own session in another way.

import { finishSignOuts } from "./offline-sign-out.js";
import { all, change, forget, get, here, pendingSignOuts, setHere } from "./store.js";

async function cleanUp() {
  const unfinished = (await get("marks", "leaving"))?.value;
  if (unfinished) {
    // A change made after the sign-out began means that the person stayed.
    const hasWrittenSince = (await all("outbox", unfinished.account)).some(({ op }) => op.at > unfinished.at);
    if (!hasWrittenSince) await forget(unfinished.account);
    await change("marks", ({ marks }) => marks.delete("leaving"));
  }
  const ended = document.querySelector("[data-ended]")?.dataset.ended;
  for (const { id, sessionId } of ended ? await all("people") : []) if (sessionId === ended) await forget(id);
  if (await here()) await setHere(null);
  if ((await pendingSignOuts()).length > 0) await finishSignOuts();
}

cleanUp().catch(() => {});

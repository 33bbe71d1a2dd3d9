// A page for nobody in particular: whoever was signed in here is not any more, and what is kept of them stays hidden until
// they come back. A sign-out that was done without a network is carried out, where no worker has. Whoever has just ended
// their own session in another way than by signing out (the page says which) leaves nothing either.

import { carryOut } from "./goodbye.js";
import { all, change, forget, get, goodbyes, here, setHere } from "./store.js";

async function begin() {
  const leaving = (await get("marks", "leaving"))?.value;
  if (leaving) {
    // What was written after that was written by somebody who had stayed.
    const after = (await all("outbox", leaving.account)).some(({ op }) => op.at > leaving.at);
    if (!after) await forget(leaving.account);
    await change("marks", ({ marks }) => marks.delete("leaving"));
  }
  const ended = document.querySelector("[data-ended]")?.dataset.ended;
  for (const { id, sessionId } of ended ? await all("people") : []) if (sessionId === ended) await forget(id);
  if (await here()) await setHere(null);
  if ((await goodbyes()).length > 0) await carryOut();
}

begin().catch(() => {});

// What this page knows of who is signed in is kept for the times without a network. Asking for it is no activity.

import { change, changes, erasures, get, goodbyes, here, read, waiting } from "./store.js";
import { heard } from "./state.js";

const AT_MOST_EVERY = 60_000;
const leaving = new AbortController();
const quietly = { headers: { "X-Unattended": "1" }, cache: "no-store", signal: leaving.signal };
const sessionId = document.documentElement.dataset.session;

/** The person whose session this page is of, if that is already known here. */
async function person() {
  const account = await here();
  const known = account && (await get("people", account));
  return known?.sessionId === sessionId ? known : undefined;
}

/** The server has just shown this page to somebody who is signed in: whoever was about to leave has stayed. */
let isStaying = false;

async function stay() {
  if (isStaying) return;
  isStaying = true;
  if ((await get("marks", "leaving"))?.value.sessionId === sessionId) await change("marks", ({ marks }) => marks.delete("leaving"));
}

async function remember() {
  await stay();
  const known = await person();
  const isFresh = known && Date.now() - Date.parse(known.devicesAsOf ?? 0) < AT_MOST_EVERY;
  if (isFresh) return;
  // Until it is certain who this is, nobody's data is shown.
  const shown = document.documentElement.dataset.account;
  if (!known && (await here()) !== shown) await change("marks", ({ marks }) => marks.put({ name: "here", value: null }));
  const erased = await read(["marks"], erasures);
  const [who, where] = await Promise.all(["/api/session", "/api/devices"].map(ask));
  if (!who) return;
  const asOf = new Date().toISOString();
  const { user, session } = who;
  await change(["people", "marks"], async ({ people, marks }) => {
    // Who left while the answer was on its way is not remembered again.
    const left = [(await marks.get("leaving"))?.value.sessionId, ...((await marks.get("goodbyes"))?.value ?? [])];
    if (left.includes(session.id) || erased !== (await erasures({ marks }))) return;
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
      devices: where ? where.devices.map(({ id, name, lastSeen, current, client, sessions }) => ({ id, name, lastSeen, current, client, sessions })) : before?.devices,
      devicesAsOf: where ? asOf : before?.devicesAsOf,
    });
    await marks.put({ name: "here", value: user.id });
  });
}

async function ask(address) {
  try {
    const answer = await fetch(address, quietly);
    heard(answer.status);
    return answer.ok ? await answer.json() : undefined;
  } catch {
    if (!leaving.signal.aborted) heard(0);
    return undefined;
  }
}

/** What was written here before, and not sent, is sent from whatever page comes first. */
async function send() {
  const known = await person();
  if (!known || (await waiting(known.id)) === 0) return;
  const { flush, serve } = await import("./outbox.js");
  await serve(known.id);
  flush();
}

const quietlyRemember = () => remember().then(send).catch(() => {});

quietlyRemember();
document.addEventListener("leaving", () => leaving.abort());
document.addEventListener("sessions-changed", quietlyRemember);
document.addEventListener("visibilitychange", () => document.hidden || quietlyRemember());
addEventListener("online", quietlyRemember);
changes.addEventListener("message", async ({ data }) => {
  // Signed out on another page without a network: this one shows nothing any more either.
  if (data.stores?.includes("marks") && (await goodbyes()).includes(sessionId)) location.replace("/offline");
});

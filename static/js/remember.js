// What this page knows of who is signed in is kept for the times without a network. Asking for it is no activity.

import { flush, serve } from "./outbox.js";
import { showSignedOut } from "./signed-out.js";
import { change, changes, ended, erasures, get, goodbyes, here, read, setHere, waiting } from "./store.js";
import { heard, standingOf } from "./state.js";
import { isGivenUp, pauseLeft, underWay } from "./under-way.js";

const AT_MOST_EVERY = 60_000;
/** The header `Date` says whole seconds, and answers take their time. */
const IN_STEP = 5_000;
const TIMEOUT = 20_000;
const { session: sessionId, account: shown } = document.documentElement.dataset;

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
  if (!known && (await here()) !== shown) await setHere(null);
  const erased = await read(["marks"], (stores) => erasures(stores, shown));
  const [who, where] = await Promise.all(["/api/session", "/api/devices"].map(ask));
  if (!who) return;
  const asOf = new Date().toISOString();
  const { user, session } = who.body;
  await change(["people", "marks"], async ({ people, marks }) => {
    // Who left while the answer was on its way is not remembered again.
    const goodbyes = (await marks.get("goodbyes"))?.value ?? [];
    const left = [(await marks.get("leaving"))?.value.sessionId, ...goodbyes, ...(await ended({ marks }))];
    if (left.includes(session.id) || erased !== (await erasures({ marks }, shown))) return;
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
      ahead: who.ahead,
      devices: where ? where.body.devices.map(({ id, name, lastSeen, current, client, sessions }) => ({ id, name, lastSeen, current, client, sessions })) : before?.devices,
      devicesAsOf: where ? asOf : before?.devicesAsOf,
    });
    await marks.put({ name: "here", value: user.id });
  });
}

/** What is answered, and by how much the server's clock is ahead of this device's. */
async function ask(address) {
  if (pauseLeft() > 0) return undefined;
  const began = performance.now();
  try {
    const quietly = { headers: { "X-Unattended": "1" }, cache: "no-store", redirect: "manual", signal: underWay(TIMEOUT) };
    const answer = await fetch(address, quietly);
    heard(standingOf(answer), began);
    if (!answer.ok) return undefined;
    const body = await answer.json();
    const ahead = Date.parse(answer.headers.get("Date")) - Date.now();
    return { body, ahead: Math.abs(ahead) > IN_STEP ? ahead : 0 };
  } catch {
    if (pauseLeft() === 0) heard(0, began);
    return undefined;
  }
}

/** What was written here before, and not sent, is sent from whatever page comes first; what is new comes with it, now and then. */
let exchanged = 0;

async function exchange() {
  const known = await person();
  if (!known || isGivenUp()) return;
  const isFresh = Date.now() - Math.max(exchanged, Date.parse(known.draftsAsOf ?? 0)) < AT_MOST_EVERY;
  if (isFresh && (await waiting(known.id)) === 0) return;
  exchanged = Date.now();
  await serve(known.id);
  flush();
}

async function begin() {
  // It was signed out here without a network, and no worker has finished that: this page does, and shows nothing meanwhile.
  if ((await goodbyes()).includes(sessionId)) return showSignedOut();
  await remember();
  await exchange();
}

const quietlyRemember = () => begin().catch(() => {});

quietlyRemember();
document.addEventListener("sessions-changed", quietlyRemember);
document.addEventListener("visibilitychange", () => document.hidden || quietlyRemember());
addEventListener("online", quietlyRemember);

let wasKnown = false;

/** Whether a page of this browser has signed out without a network whoever this page is of, also by another id of the session. */
async function isLeft() {
  const [owed, isKnown] = [await goodbyes(), Boolean(await get("people", shown))];
  wasKnown ||= isKnown;
  return owed.includes(sessionId) || (owed.length > 0 && wasKnown && !isKnown);
}

changes.addEventListener("message", async ({ data }) => {
  // Then this one shows nothing any more either.
  if (data.stores?.includes("marks") && (await isLeft())) showSignedOut();
});

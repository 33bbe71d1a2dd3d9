// Whose page this is. What writes and what sends asks here before it puts anything away: nothing of a person is kept again
// once their data was erased on this device. Used by the outbox and its sending.

import { ended, erasures, read } from "./store.js";

/** The sign-in that this page was made for. The page without a network and the worker have none. */
const session = globalThis.document?.documentElement.dataset.session;

/** The account that is served, else it is whoever was signed in here. */
export let owner;
let beginning;
let began;

/** Begins for an account. The server refuses what is sent as somebody else. */
export async function serve(account) {
  owner = account;
  beginning ??= read(["marks"], async ({ marks }) => {
    const isHere = session || (await marks.get("here"))?.value === account;
    // Whoever has gone before this page had begun is gone for it.
    return isHere ? erasures({ marks }, account) : NaN;
  });
  began = await beginning;
}

/** Whether the data of this page's person was erased since, or its session was left: then nothing of them is kept again. */
export async function isOver({ marks }) {
  if (began === undefined) return false;
  return (await erasures({ marks }, owner)) !== began || (await ended({ marks })).includes(session);
}

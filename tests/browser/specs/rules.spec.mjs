// The outbox's rules, one by one: its own module in a real browser with a real IndexedDB, before a service that says what each
// case needs. That they fit the real one is shown in outbox.spec and drafts.spec.

import { Server } from '../lib/server.mjs';
import { expect, test as base } from '../lib/test.mjs';

/** Nothing reaches the server but what the page is made of: one is enough. */
const test = base.extend({
  shared: [async ({}, use) => {
    const server = await Server.create('sqlite');
    await use(server);
    await server.destroy();
  }, { scope: 'worker' }],
  server: async ({ shared }, use) => use(shared),
  // The page has the modules without a worker, which would take its time to be installed for each case.
  page: async ({ visitor }, use) => use(await visitor({ serviceWorkers: 'block' })),
});

/**
 * A page with the modules in `lab`, in which `lab.answer(call)` is the service: an answer's body, or `{ status, … }`. With a
 * `session` it is a page of that sign-in.
 */
async function laboratory(page, session) {
  await page.goto('/login');
  await page.evaluate(async (signedIn) => {
    if (signedIn) document.documentElement.dataset.session = signedIn;
    const worker = await (await fetch('/sw.js')).text();
    const path = (name) => worker.match(new RegExp(`/static/js/${name}\\.[0-9a-f]{10}\\.js`))[0];
    const [outbox, store] = await Promise.all([import(path('outbox')), import(path('store'))]);
    const lab = { outbox, store, calls: [], waits: [], heard: [], later: 0, answer: () => ({ status: 503 }) };
    window.lab = lab;
    const now = Date.now;
    Date.now = () => now() + lab.later;
    document.addEventListener('service-answered', ({ detail }) => lab.heard.push(detail.status));
    const [fetched, timed] = [window.fetch, window.setTimeout];
    window.fetch = async (url, init) => {
      if (url !== '/api/session/sync') return fetched(url, init);
      const call = JSON.parse(init.body);
      lab.calls.push(call);
      const { status, type, headers, body, ...whole } = await lab.answer(call);
      if (!status) return Response.json(whole);
      const problem = { 'Content-Type': type ?? 'application/problem+json', ...headers };
      return new Response(body ?? JSON.stringify({ type: 'x', status, detail: 'said so', ...whole }), { status, headers: problem });
    };
    // What would be tried again later is noted, and left to the case.
    window.setTimeout = (work, time, ...rest) => {
      if (work !== outbox.flush) return timed(work, time, ...rest);
      lab.waits.push(time);
      return 0;
    };
    lab.rows = (name) => store.all(name, 'ann');
    lab.texts = async () => (await lab.rows('outbox')).map(({ op }) => op.text ?? op.kind);
    lab.keep = (id, text, version) => store.change('drafts', ({ drafts }) => drafts.put({ account: 'ann', id, text, version, updatedAt: '2026-01-01T00:00:00.000Z', updatedOn: 'Desk' }));
    lab.draft = (id, text, version, more = {}) => ({ id, text, version, updatedAt: '2026-01-01T00:00:00.000Z', updatedOn: 'Desk', ...more });
    lab.body = (results, changes = { drafts: [] }) => ({
      user: { id: 'ann', name: 'Ann', email: 'ann@example.test' },
      session: { id: 'session', deviceId: 'device', expiresAt: '2099-01-01T00:00:00.000Z', absoluteExpiresAt: '2099-01-01T00:00:00.000Z' },
      revision: 7,
      results,
      changes,
    });
    lab.applied = (call, version = 1) => lab.body(call.operations.map(({ id, draftId, text }) => ({ id, status: 'applied', draft: lab.draft(draftId, text, version) })));
    await store.setHere('ann');
    await outbox.serve('ann');
    lab.refused = (call, detail = 'no') => lab.body(call.operations.map(({ id }) => ({ id, status: 'rejected', problem: { type: 'conflict', detail } })));
    lab.mark = async (name) => (await store.get('marks', name))?.value;
    lab.setMark = (name, value) => store.change('marks', ({ marks }) => marks.put({ name, value }));
    lab.asides = async () => (await lab.rows('outbox')).filter(({ state }) => state === 'aside').map(({ op }) => op.text);
    lab.shown = async () => (await outbox.drafts('ann')).map(({ text, aside }) => aside?.text ?? text).sort();
  }, session);
}

test.beforeEach(({ page }) => laboratory(page));

test('writing goes on in the change that waits, and never in one that is on its way', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await outbox.write('ann', 'd', 'one', { version: 0, text: '' });
    await outbox.write('ann', 'd', 'one two', { version: 0, text: 'one' });
    const before = await lab.texts();
    lab.answer = async (call) => {
      if (lab.calls.length > 1) return lab.applied(call, 2);
      await outbox.write('ann', 'd', 'one two three', { version: 0, text: 'one two' });
      await outbox.write('ann', 'd', 'one two three four', { version: 0, text: 'one two three' });
      lab.during = await lab.texts();
      return lab.applied(call);
    };
    await outbox.flush();
    return { before, during: lab.during, calls: lab.calls.map(({ operations }) => operations.map(({ text, baseVersion }) => [text, baseVersion])), left: await lab.texts() };
  });
  expect(seen.before).toEqual(['one two']);
  expect(seen.during).toEqual(['one two', 'one two three four']);
  expect(seen.calls).toEqual([[['one two', 0]], [['one two three four', 1]]]);
  expect(seen.left).toEqual([]);
});

test('what a restored server lacks goes back to it, and what it has does not', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('gone', 'only here', 1);
    await lab.keep('lost', 'lost text', 2);
    await lab.keep('same', 'same', 1);
    await lab.keep('written', 'old', 4);
    await outbox.write('ann', 'written', 'mine', { version: 4, text: 'old' });
    lab.answer = async (call) => {
      const results = call.operations.map(({ id, draftId, text }) => ({ id, status: 'applied', draft: lab.draft(draftId, text, 9) }));
      if (lab.calls.length > 1) {
        lab.during = await lab.shown();
        return lab.body(results);
      }
      return lab.body(results, { reset: true, restored: true, drafts: [lab.draft('lost', 'before', 1), lab.draft('same', 'same', 1), lab.draft('written', 'mine', 9)] });
    };
    await outbox.flush();
    const calls = lab.calls.map(({ operations }) => operations.map(({ kind, draftId, text, baseVersion }) => [kind, draftId, text, baseVersion]));
    return { calls, during: lab.during, shown: await lab.shown(), left: await lab.texts() };
  });
  expect(seen.calls).toEqual([
    [['draft.put', 'written', 'mine', 4]],
    [['draft.keep', 'gone', 'only here', 1], ['draft.keep', 'lost', 'lost text', 2]],
  ]);
  expect(seen.during).toEqual(['before', 'mine', 'only here', 'same']);
  expect(seen.shown).toEqual(['lost text', 'mine', 'only here', 'same']);
  expect(seen.left).toEqual([]);
});

test('a text from a lost history that is refused stays, and can be written on', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('gone', 'only here', 1);
    lab.answer = (call) => (lab.calls.length > 1 ? lab.refused(call) : lab.body([], { reset: true, restored: true, drafts: [] }));
    await outbox.flush();
    const before = { asides: await lab.asides(), shown: await lab.shown() };
    await outbox.write('ann', 'gone', 'only here, still', { version: 1, text: 'only here' });
    const [{ op: { kind, text, baseVersion }, state }] = await lab.rows('outbox');
    return { before, written: [kind, text, baseVersion, state] };
  });
  expect(seen.before).toEqual({ asides: ['only here'], shown: ['only here'] });
  expect(seen.written).toEqual(['draft.put', 'only here, still', 1, 'waiting']);
});

test('two tabs that write in one draft do not write over one another', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    await lab.keep('d', 'begun', 3);
    await lab.outbox.write('ann', 'd', 'begun here', { version: 3, text: 'begun' });
    await lab.outbox.write('ann', 'd', 'begun there', { version: 3, text: 'begun' });
    return (await lab.rows('outbox')).map(({ op }) => [op.text, op.baseVersion]);
  });
  expect(seen).toEqual([['begun here', 3], ['begun there', 3]]);
});

test('what waits behind a conflict goes on in the draft that keeps it', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('d', 'begun', 3);
    await outbox.write('ann', 'd', 'mine', { version: 3, text: 'begun' });
    lab.answer = async (call) => {
      if (lab.calls.length > 1) return lab.applied(call, 2);
      await outbox.write('ann', 'd', 'mine, longer', { version: 3, text: 'mine' });
      const [{ id }] = call.operations;
      return lab.body([{ id, status: 'conflict', draft: lab.draft('copy', 'mine', 1, { conflictOf: 'd' }) }], { drafts: [lab.draft('d', 'theirs', 4)] });
    };
    await outbox.flush();
    const { draftId, text, baseVersion } = lab.calls[1].operations[0];
    return { next: { draftId, text, baseVersion }, kept: (await lab.rows('drafts')).map(({ id, text: said }) => [id, said]) };
  });
  expect(seen.next).toEqual({ draftId: 'copy', text: 'mine, longer', baseVersion: 1 });
  expect(seen.kept).toEqual([['copy', 'mine, longer'], ['d', 'theirs']]);
});

test('what waits behind something refused is sent all the same, on what that was written on', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('d', 'begun', 3);
    await outbox.write('ann', 'd', 'refused', { version: 3, text: 'begun' });
    lab.answer = async (call) => {
      if (lab.calls.length > 1) return lab.applied(call, 4);
      await outbox.write('ann', 'd', 'refused, mended', { version: 3, text: 'refused' });
      return lab.body([{ id: call.operations[0].id, status: 'rejected', problem: { type: 'invalid-request', detail: 'no' } }]);
    };
    await outbox.flush();
    const { text, baseVersion } = lab.calls[1].operations[0];
    return { next: { text, baseVersion }, left: await lab.texts() };
  });
  expect(seen.next).toEqual({ text: 'refused, mended', baseVersion: 3 });
  expect(seen.left).toEqual([]);
});

test('an older text that was refused does not come back over the newer one that is saved', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await outbox.write('ann', 'd', 'A', { version: 0, text: '' });
    lab.answer = async (call) => {
      if (lab.calls.length === 1) await outbox.write('ann', 'd', 'AB', { version: 0, text: 'A' });
      return lab.refused(call, 'full');
    };
    await outbox.flush();
    lab.full = await lab.asides();
    await outbox.write('ann', 'd', 'ABC', { version: 0, text: 'AB' });
    lab.answer = (call) => lab.applied(call);
    await outbox.flush();
    return { full: lab.full, left: await lab.texts(), shown: await lab.shown() };
  });
  expect(seen).toEqual({ full: ['AB'], left: [], shown: ['ABC'] });
});

test('a call refused as a whole keeps the newest text of a draft, and sends it', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await outbox.write('ann', 'd', 'A', { version: 0, text: '' });
    lab.answer = async (call) => {
      if (lab.calls.length > 1) return lab.applied(call);
      await outbox.write('ann', 'd', 'AB', { version: 0, text: 'A' });
      return { status: 400 };
    };
    await outbox.flush();
    return { left: await lab.texts(), shown: await lab.shown() };
  });
  expect(seen).toEqual({ left: [], shown: ['AB'] });
});

test('what another tab wrote and was refused is a draft of its own once this one is saved', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('d', 'begun', 3);
    await outbox.write('ann', 'd', 'there', { version: 3, text: 'begun' });
    await outbox.write('ann', 'd', 'here', { version: 3, text: 'begun' });
    lab.answer = (call) => (lab.calls.length === 1 ? lab.refused(call) : lab.applied(call, 4));
    await outbox.flush();
    const rows = (await outbox.drafts('ann')).map(({ id, text, aside }) => [id === 'd', text, aside?.baseVersion]);
    return { rows, asides: await lab.asides() };
  });
  expect(seen.asides).toEqual(['there']);
  expect(seen.rows.sort()).toEqual([[false, 'there', 0], [true, 'here', undefined]]);
});

test('writing on in what was set aside builds on what that was written on, whatever came meanwhile', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('d', 'begun', 3);
    await outbox.write('ann', 'd', 'mine', { version: 3, text: 'begun' });
    lab.answer = (call) => lab.body([...lab.refused(call).results], { drafts: [lab.draft('d', 'theirs', 4)] });
    await outbox.flush();
    const [{ version, aside }] = await outbox.drafts('ann');
    await outbox.write('ann', 'd', 'mine, too', { version, text: aside.text });
    return (await lab.rows('outbox')).map(({ op, state }) => [op.text, op.baseVersion, state]);
  });
  expect(seen).toEqual([['mine, too', 3, 'waiting']]);
});

test('a text that is too long is kept and shown, is not sent, and holds up nothing', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox, store } = lab;
    const long = 'x'.repeat(10_001);
    await outbox.write('ann', 'd', 'short', { version: 0, text: '' });
    lab.answer = async (call) => {
      if (lab.calls.length === 1) await outbox.write('ann', 'd', long, { version: 0, text: 'short' });
      return lab.applied(call, lab.calls.length);
    };
    await outbox.flush();
    const kept = (await lab.rows('outbox')).map(({ op, state, problem }) => [op.text.length, op.baseVersion, state, problem.type]);
    const [{ aside, text }] = await outbox.drafts('ann');
    const unsent = await store.waiting('ann');
    await outbox.write('ann', 'd', `${long}y`, { version: 0, text: long });
    const longer = (await lab.rows('outbox')).map(({ op }) => op.text.length);
    await outbox.write('ann', 'd', 'short again', { version: 0, text: `${long}y` });
    await outbox.flush();
    const sent = lab.calls.flatMap(({ operations }) => operations.map((op) => [op.text, op.baseVersion]));
    return { kept, shown: [aside.text.length, text], unsent, longer, sent, left: await lab.texts() };
  });
  expect(seen).toEqual({
    kept: [[10_001, 1, 'aside', 'too-long']],
    shown: [10_001, 'short'],
    unsent: 1,
    longer: [10_002],
    sent: [['short', 0], ['short again', 1]],
    left: [],
  });
});

test('what is too long goes on in the draft that keeps what it was written on', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    const long = 'x'.repeat(10_001);
    await lab.keep('d', 'begun', 3);
    await outbox.write('ann', 'd', 'mine', { version: 3, text: 'begun' });
    await outbox.write('ann', 'd', long, { version: 3, text: 'mine' });
    lab.answer = ({ operations: [{ id }] }) => lab.body([{ id, status: 'conflict', draft: lab.draft('copy', 'mine', 1, { conflictOf: 'd' }) }], { drafts: [lab.draft('d', 'theirs', 4)] });
    await outbox.flush();
    return (await lab.rows('outbox')).map(({ op, state }) => [op.draftId, op.baseVersion, state]);
  });
  expect(seen).toEqual([['copy', 1, 'aside']]);
});

test('a draft is deleted as it was seen, and not as it has become meanwhile', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('d', 'begun', 3);
    await outbox.write('ann', 'd', 'mine', { version: 3, text: 'begun' });
    await lab.keep('d', 'theirs', 4);
    await outbox.remove('ann', 'd', { version: 4 });
    return (await lab.rows('outbox')).map(({ op }) => [op.kind, op.baseVersion]);
  });
  expect(seen).toEqual([['draft.delete', 3]]);
});

test('a new draft that is deleted before it was sent is nobody\'s business', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    await lab.outbox.write('ann', 'd', 'never mind', { version: 0, text: '' });
    await lab.outbox.remove('ann', 'd', undefined);
    return lab.rows('outbox');
  });
  expect(seen).toEqual([]);
});

test('a delete of what is not there is done; one that is refused leaves the draft to be seen', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('gone', 'gone', 1);
    await lab.keep('stays', 'stays', 1);
    await outbox.remove('ann', 'gone', { version: 1 });
    await outbox.remove('ann', 'stays', { version: 1 });
    lab.answer = ({ operations }) => lab.body(operations.map(({ id, draftId }) => (draftId === 'gone'
      ? { id, status: 'rejected', problem: { type: 'not-found' } }
      : { id, status: 'conflict' })));
    await outbox.flush();
    return { left: await lab.rows('outbox'), shown: (await outbox.drafts('ann')).map(({ id }) => id) };
  });
  expect(seen).toEqual({ left: [], shown: ['stays'] });
});

test('of one draft nothing overtakes: one operation a call', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('d', 'begun', 3);
    await outbox.write('ann', 'd', 'here', { version: 3, text: 'begun' });
    await outbox.write('ann', 'd', 'there', { version: 3, text: 'begun' });
    await outbox.write('ann', 'e', 'another', { version: 0, text: '' });
    lab.answer = (call) => lab.applied(call, 4);
    await outbox.flush();
    return lab.calls.map(({ operations }) => operations.map(({ text }) => text));
  });
  expect(seen).toEqual([['here', 'another'], ['there']]);
});

test('a call that is too large is halved until it is taken', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    for (const id of ['a', 'b', 'c', 'd']) await lab.outbox.write('ann', id, id, { version: 0, text: '' });
    lab.answer = (call) => (call.operations.length > 1 ? { status: 413 } : lab.applied(call));
    await lab.outbox.flush();
    return { sizes: lab.calls.map(({ operations }) => operations.length), left: await lab.rows('outbox') };
  });
  expect(seen.sizes).toEqual([4, 2, 1, 1, 1, 1]);
  expect(seen.left).toEqual([]);
});

test('a call that is refused as a whole is set aside, once, and does not go round', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    await lab.outbox.write('ann', 'd', 'bad', { version: 0, text: '' });
    lab.answer = () => ({ status: 400 });
    await lab.outbox.flush();
    return { calls: lab.calls.length, left: (await lab.rows('outbox')).map(({ state }) => state), waits: lab.waits.length };
  });
  expect(seen.left).toEqual(['aside']);
  expect(seen.calls).toBe(2);
  expect(seen.waits).toBe(1);
});

for (const [what, answer, standing] of [
  ['a 503', { status: 503, headers: { 'Retry-After': '7' } }, 'away'],
  ['a proxy\'s 401', { status: 401, type: 'text/html', body: '<p>Sign in to the network</p>' }, 'offline'],
  ['a proxy\'s 502', { status: 502, type: 'text/html', body: '<p>Bad gateway</p>' }, 'away'],
  ['a hotel\'s page', { status: 200, type: 'text/html', body: '<p>Welcome</p>' }, 'offline'],
  ['half an answer', { status: 200, type: 'application/json', body: '{"user":' }, 'offline'],
  ['an answer of something else', { status: 200, type: 'application/json', body: '{"ok":true}' }, 'offline'],
]) {
  test(`${what} is no answer: what waits stays and is sent again as it was`, async ({ page }) => {
    const seen = await page.evaluate(async (given) => {
      const { outbox } = lab;
      await outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
      lab.answer = () => given;
      await outbox.flush();
      const { standing: said } = outbox;
      const [left] = [await lab.texts()];
      const [wait] = lab.waits;
      const heard = [...lab.heard];
      lab.later = 10_000;
      lab.answer = (call) => lab.applied(call);
      await outbox.flush();
      const [first, second] = lab.calls.map(({ operations }) => JSON.stringify(operations));
      return { said, heard, left, wait, isSame: first === second, after: await lab.texts(), end: outbox.standing };
    }, answer);
    const heard = [standing === 'away' ? answer.status : 0];
    expect(seen).toMatchObject({ said: standing, heard, left: ['kept'], isSame: true, after: [], end: 'saved' });
    expect(seen.wait).toBeGreaterThanOrEqual(answer.headers ? 7_000 : 500);
  });
}

test('what could not be sent is tried as soon as something else reaches the service, a few times', async ({ page }) => {
  // What is tried again after a time of its own is tried no more.
  await page.clock.install();
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    const reached = () => document.dispatchEvent(new CustomEvent('service-state', { detail: 'ok' }));
    /** Until what was begun has ended: it reads the store, and then there is nothing left for it to do. */
    const settled = async () => {
      for (let reads = 0; reads < 20; reads += 1) await lab.texts();
    };
    await outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
    lab.answer = () => { throw new TypeError('lost'); };
    await outbox.flush();
    for (let times = 1; times <= 5; times += 1) {
      reached();
      while (times <= 3 && lab.calls.length <= times) await lab.texts();
      await settled();
    }
    const tries = lab.calls.length;
    lab.answer = (call) => lab.applied(call);
    await outbox.flush();
    // From then on it may be impatient again.
    await outbox.write('ann', 'd', 'kept, too', { version: 1, text: 'kept' });
    lab.answer = () => { throw new TypeError('lost'); };
    await outbox.flush();
    lab.answer = (call) => lab.applied(call, 2);
    reached();
    while ((await lab.texts()).length > 0);
    return tries;
  });
  expect(seen).toBe(4);
});

for (const [status, standing] of [[401, 'signed-out'], [409, 'somebody-else']]) {
  test(`after a ${status} the queue waits for a sign-in and is not tried again by itself`, async ({ page }) => {
    const seen = await page.evaluate(async (given) => {
      await lab.outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
      lab.answer = () => ({ status: given });
      await lab.outbox.flush();
      return { said: lab.outbox.standing, left: await lab.texts(), waits: lab.waits, calls: lab.calls.length };
    }, status);
    expect(seen).toEqual({ said: standing, left: ['kept'], waits: [], calls: 1 });
  });
}

test('a session that is not known may have got another id just now: it is looked at twice', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
    const unknown = { status: 401, type: 'application/problem+json', reason: 'unknown' };
    lab.answer = (call) => (lab.calls.length === 1 ? unknown : lab.applied(call));
    await outbox.flush();
    const first = [outbox.standing, lab.calls.length, await lab.texts(), lab.calls[0].operations[0]?.id === lab.calls[1]?.operations[0]?.id];
    await outbox.write('ann', 'e', 'kept, too', { version: 0, text: '' });
    lab.answer = () => unknown;
    lab.calls.length = 0;
    await outbox.flush();
    return { first, second: [outbox.standing, lab.calls.length, await lab.texts()] };
  });
  expect(seen).toEqual({ first: ['saved', 2, [], true], second: ['signed-out', 2, ['kept, too']] });
});

test('a service that asks to be left alone for a while is, whatever is written and by whichever tab', async ({ page }) => {
  const second = await page.context().newPage();
  await laboratory(second);
  const first = await page.evaluate(async () => {
    const { outbox } = lab;
    await outbox.write('ann', 'd', 'one', { version: 0, text: '' });
    lab.answer = () => ({ status: 503, headers: { 'Retry-After': '30' } });
    await outbox.flush();
    await outbox.write('ann', 'd', 'one two', { version: 0, text: 'one' });
    for (let tries = 0; tries < 5; tries += 1) await outbox.flush();
    return { calls: lab.calls.length, waits: lab.waits };
  });
  expect(first.calls).toBe(1);
  expect(first.waits.length).toBe(6);
  for (const wait of first.waits) expect(wait).toBeGreaterThan(25_000);
  for (const wait of first.waits) expect(wait).toBeLessThan(32_000);
  const others = await second.evaluate(async () => {
    lab.answer = (call) => lab.applied(call);
    await lab.outbox.flush();
    const during = [lab.outbox.standing, lab.calls.length];
    lab.later = 31_000;
    await lab.outbox.flush();
    return { during, after: [lab.outbox.standing, await lab.texts()], mark: await lab.mark('notBefore') };
  });
  expect(others).toEqual({ during: ['away', 0], after: ['saved', []], mark: undefined });
});

for (const [what, headers, least, most] of [
  ['a moment by another clock', { 'Retry-After': 'Wed, 01 Jan 2020 00:00:40 GMT', Date: 'Wed, 01 Jan 2020 00:00:00 GMT' }, 40_000, 41_000],
  ['a moment that is over', { 'Retry-After': 'Wed, 01 Jan 2020 00:00:00 GMT', Date: 'Wed, 01 Jan 2020 00:00:40 GMT' }, 0, 1_500],
  ['a month', { 'Retry-After': '2592000' }, 3_600_000, 3_601_000],
  ['nonsense', { 'Retry-After': 'soon' }, 0, 1_500],
]) {
  test(`to be left alone until ${what} is understood`, async ({ page }) => {
    const wait = await page.evaluate(async (given) => {
      await lab.outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
      lab.answer = () => ({ status: 503, headers: given });
      await lab.outbox.flush();
      return lab.waits[0];
    }, headers);
    expect(wait).toBeGreaterThanOrEqual(least);
    expect(wait).toBeLessThanOrEqual(most);
  });
}

test('a clock that was put back does not make a pause longer', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    await lab.outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
    await lab.setMark('notBefore', Date.now() + 30 * 24 * 3_600_000);
    lab.answer = (call) => lab.applied(call);
    await lab.outbox.flush();
    return lab.texts();
  });
  expect(seen).toEqual([]);
});

test('a device that keeps nothing just now is not called offline, and is not tried for ever', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
    const { put } = IDBObjectStore.prototype;
    lab.answer = (call) => {
      IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };
      return lab.applied(call);
    };
    await outbox.flush();
    const said = [outbox.standing, ...lab.heard];
    for (let tries = 0; tries < 12; tries += 1) await outbox.flush();
    const tries = lab.waits.length;
    IDBObjectStore.prototype.put = put;
    lab.answer = (call) => lab.applied(call);
    await outbox.flush();
    return { said, tries, end: outbox.standing, left: await lab.texts() };
  });
  expect(seen).toEqual({ said: ['stuck', 200], tries: 9, end: 'saved', left: [] });
});

test('the waits grow, are not the same for all, and have an end', async ({ page }) => {
  const waits = await page.evaluate(async () => {
    await lab.outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
    for (let tries = 0; tries < 14; tries += 1) await lab.outbox.flush();
    return lab.waits;
  });
  expect(waits.length).toBe(14);
  for (const [at, wait] of waits.entries()) {
    const middle = Math.min(1_000 * 2 ** at, 300_000);
    expect(wait).toBeGreaterThanOrEqual(middle / 2);
    expect(wait).toBeLessThanOrEqual(middle * 1.5);
  }
  expect(new Set(waits.slice(-4)).size).toBeGreaterThan(1);
});

test('an answer that comes after the sign-out puts nothing away', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox, store } = lab;
    await outbox.write('ann', 'd', 'secret', { version: 0, text: '' });
    lab.answer = async (call) => {
      await store.forget('ann');
      return lab.applied(call);
    };
    await outbox.flush();
    return Promise.all(['people', 'drafts', 'outbox'].map((name) => store.all(name)));
  });
  expect(seen).toEqual([[], [], []]);
});

test('a tab that still writes when another has signed out puts nothing away', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox, store } = lab;
    await store.forget('ann');
    const refused = await outbox.write('ann', 'd', 'secret', { version: 0, text: '' }).then(() => false, () => true);
    return [refused, await store.all('outbox')];
  });
  expect(seen).toEqual([true, []]);
});

test('an erased person is forgotten where there is no room for a mark, too', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox, store } = lab;
    await outbox.write('ann', 'd', 'secret', { version: 0, text: '' });
    await lab.keep('e', 'secret, too', 1);
    IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };
    await store.forget('ann');
    return [await store.here(), ...(await Promise.all(['people', 'drafts', 'outbox'].map((name) => store.all(name))))];
  });
  expect(seen).toEqual([null, [], [], []]);
});

test('a page that begins after its session was left keeps nothing, though it was made before', async ({ page }) => {
  await page.evaluate(async () => {
    lab.answer = (call) => lab.applied(call);
    await lab.outbox.flush();
    await lab.store.forget('ann');
  });
  const late = await page.context().newPage();
  await laboratory(late, 'session');
  const seen = await late.evaluate(async () => {
    lab.answer = (call) => lab.applied(call);
    const refused = await lab.outbox.write('ann', 'd', 'secret', { version: 0, text: '' }).then(() => false, () => true);
    await lab.outbox.flush();
    return { refused, calls: lab.calls.length, kept: await Promise.all(['people', 'drafts', 'outbox'].map((name) => lab.store.all(name))) };
  });
  expect(seen).toEqual({ refused: true, calls: 0, kept: [[], [], []] });
  await laboratory(late, 'the next session');
  expect(await late.evaluate(() => lab.outbox.write('ann', 'd', 'back again', { version: 0, text: '' }).then(() => lab.texts()))).toEqual(['back again']);
});

test('that one person\'s data is erased is nothing to another\'s page', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    await lab.store.forget('bob');
    await lab.outbox.write('ann', 'd', 'goes on', { version: 0, text: '' });
    lab.answer = async (call) => {
      await lab.store.forget('bob');
      return lab.applied(call);
    };
    await lab.outbox.flush();
    return { left: await lab.texts(), shown: await lab.shown() };
  });
  expect(seen).toEqual({ left: [], shown: ['goes on'] });
});

test('an answer to a session that was left is not taken', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    await lab.outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
    await lab.setMark('ended', ['session']);
    lab.answer = (call) => lab.applied(call);
    await lab.outbox.flush();
    return [await lab.rows('people'), await lab.texts()];
  });
  expect(seen).toEqual([[], ['kept']]);
});

test('of the sessions that were left the last twenty are known', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    for (let at = 0; at < 23; at += 1) {
      await lab.store.change('people', ({ people }) => people.put({ id: `p${at}`, sessionId: `s${at}` }));
      await lab.store.forget(`p${at}`);
    }
    return lab.mark('ended');
  });
  expect(seen).toEqual(Array.from({ length: 20 }, (_, at) => `s${at + 3}`));
});

test('while somebody is about to leave, what waits is not forgotten: it is tried again', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    await lab.outbox.write('ann', 'd', 'kept', { version: 0, text: '' });
    await lab.setMark('leaving', { account: 'ann', sessionId: 'session', at: new Date().toISOString() });
    lab.answer = (call) => lab.applied(call);
    await lab.outbox.flush();
    const during = [lab.waits.length, await lab.texts()];
    await lab.store.change('marks', ({ marks }) => marks.delete('leaving'));
    await lab.outbox.flush();
    return { during, after: await lab.texts() };
  });
  expect(seen).toEqual({ during: [1, ['kept']], after: [] });
});

for (const [what, write] of [
  ['writes', () => lab.outbox.write('ann', 'd', 'one two', { version: 0, text: 'one' })],
  ['deletes', () => lab.outbox.remove('ann', 'd', { version: 1 })],
]) {
  test(`who ${what} has stayed, whatever they had begun`, async ({ page }) => {
    await page.evaluate(async () => {
      await lab.outbox.write('ann', 'd', 'one', { version: 0, text: '' });
      await lab.setMark('leaving', { account: 'ann', sessionId: 'session', at: new Date().toISOString() });
    });
    await page.evaluate(write);
    expect(await page.evaluate(() => lab.mark('leaving'))).toBeUndefined();
  });
}

test('since when the drafts are known is kept', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const before = new Date().toISOString();
    lab.answer = (call) => lab.applied(call);
    await lab.outbox.flush();
    const [{ draftsAsOf }] = await lab.rows('people');
    return draftsAsOf >= before && draftsAsOf <= new Date().toISOString();
  });
  expect(seen).toBe(true);
});

test('a reset leaves what the answer names, and what waits', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { outbox } = lab;
    await lab.keep('old', 'old', 1);
    await lab.keep('kept', 'kept', 1);
    lab.answer = async () => {
      if (lab.calls.length === 1) await outbox.write('ann', 'late', 'late', { version: 0, text: '' });
      return lab.calls.length === 1
        ? lab.body([], { drafts: [lab.draft('kept', 'kept', 2)], reset: true })
        : { status: 503 };
    };
    await outbox.flush();
    return (await outbox.drafts('ann')).map(({ id }) => id).sort();
  });
  expect(seen).toEqual(['kept', 'late']);
});

test('two tabs send one at a time', async ({ page }) => {
  const second = await page.context().newPage();
  await laboratory(second);
  for (const one of [page, second]) {
    await one.evaluate(() => {
      lab.answer = async (call) => {
        const under = Number(localStorage.getItem('under') ?? 0) + 1;
        localStorage.setItem('under', under);
        if (under > 1) localStorage.setItem('met', '1');
        await new Promise((done) => { setTimeout(done, 20); });
        localStorage.setItem('under', Number(localStorage.getItem('under')) - 1);
        localStorage.setItem('sent', `${localStorage.getItem('sent') ?? ''}${call.operations.map(({ text }) => `${text};`).join('')}`);
        return lab.applied(call);
      };
    });
  }
  await page.evaluate(() => lab.outbox.write('ann', 'd', 'once', { version: 0, text: '' }));
  await Promise.all([page, second].map((one) => one.evaluate(() => Promise.all([lab.outbox.flush(), lab.outbox.flush()]))));
  const { met, sent } = await page.evaluate(() => ({ ...localStorage }));
  expect(met).toBeUndefined();
  expect(sent).toBe('once;');
});

test('text is kept as the service keeps it, in older browsers too', async ({ page }) => {
  const seen = await page.evaluate(() => {
    const { clean, count } = lab.outbox;
    delete String.prototype.toWellFormed;
    return [clean('a\0b'), clean('x\ud800y'), clean('🦀'), count('🦀🦀'), count('e\u0301')];
  });
  expect(seen).toEqual(['ab', 'x\ufffdy', '🦀', 2, 2]);
});

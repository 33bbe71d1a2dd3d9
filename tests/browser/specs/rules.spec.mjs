// The outbox's rules, one by one: its own module in a real browser with a real IndexedDB, before a service that says what each
// case needs. That they fit the real one is shown in outbox.spec and drafts.spec.

import { expect, test } from '../lib/test.mjs';

/** A page with the modules in `lab`, in which `lab.answer(call)` is the service: an answer's body, or `{ status, … }`. */
async function laboratory(page) {
  await page.goto('/login');
  await page.evaluate(async () => {
    const worker = await (await fetch('/sw.js')).text();
    const path = (name) => worker.match(new RegExp(`/static/js/${name}\\.[0-9a-f]{10}\\.js`))[0];
    const [outbox, store] = await Promise.all([import(path('outbox')), import(path('store'))]);
    const lab = { outbox, store, calls: [], waits: [], answer: () => ({ status: 503 }) };
    window.lab = lab;
    const [fetched, timed] = [window.fetch, window.setTimeout];
    window.fetch = async (url, init) => {
      if (url !== '/api/session/sync') return fetched(url, init);
      const call = JSON.parse(init.body);
      lab.calls.push(call);
      const { status, type, headers, body, ...whole } = await lab.answer(call);
      if (!status) return Response.json(whole);
      const problem = { 'Content-Type': type ?? 'application/problem+json', ...headers };
      return new Response(body ?? JSON.stringify({ type: 'x', status, detail: 'said so' }), { status, headers: problem });
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
  });
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
    return { next: { text, baseVersion }, left: (await lab.rows('outbox')).map(({ op, state, problem }) => [op.text, state, problem.detail]) };
  });
  expect(seen.next).toEqual({ text: 'refused, mended', baseVersion: 3 });
  expect(seen.left).toEqual([['refused', 'aside', 'no']]);
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
  ['a proxy\'s 401', { status: 401, type: 'text/html', body: '<p>Sign in to the network</p>' }, 'away'],
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
      lab.answer = (call) => lab.applied(call);
      await outbox.flush();
      const [first, second] = lab.calls.map(({ operations }) => JSON.stringify(operations));
      return { said, left, wait, isSame: first === second, after: await lab.texts(), end: outbox.standing };
    }, answer);
    expect(seen).toMatchObject({ said: standing, left: ['kept'], isSame: true, after: [], end: 'saved' });
    expect(seen.wait).toBeGreaterThanOrEqual(answer.headers ? 7_000 : 500);
  });
}

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

test('two tabs and the worker send one at a time', async ({ page }) => {
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

test('text is kept as the service keeps it', async ({ page }) => {
  const seen = await page.evaluate(() => {
    const { clean, count } = lab.outbox;
    return [clean('a\0b'), clean('x\ud800y'), clean('🦀'), count('🦀🦀'), count('e\u0301')];
  });
  expect(seen).toEqual(['ab', 'x\ufffdy', '🦀', 2, 2]);
});

// What is written without a network: kept, sent once, by nobody else, and never lost.

import { cut, expect, kept, test, underWorker } from '../lib/app.mjs';
import { createOwner, expectDashboard, expectLogin, fillLogin, owner, settled, signIn, signInButton } from '../lib/test.mjs';

const other = { email: 'second@example.test', name: 'Robin Second', password: 'quite another good phrase 7' };
const field = (page) => page.getByLabel('Your post');
const row = (page, text) => page.locator('#draft-list').getByRole('link', { name: text });
const state = (page) => page.locator('[data-state]');

/** Signed in, under the worker, and at the drafts. */
async function atDrafts(app, server) {
  const page = await app.open();
  await createOwner(page, server);
  await underWorker(page);
  await settled(page);
  await page.goto('/drafts');
  await page.locator('#draft-list').waitFor();
  // The history's name, the count of its changes, and a seal.
  await expect.poll(async () => (await kept(page)).people[0]?.revision?.split('.')[1]).toBe('0');
  return page;
}

async function write(page, text) {
  await page.getByRole('link', { name: 'New draft' }).click();
  await field(page).fill(text);
  const isKept = async () => {
    const { outbox, drafts } = await kept(page);
    return outbox.some(({ op }) => op.text === text) || drafts.some((draft) => draft.text === text);
  };
  await expect.poll(isKept, { message: 'kept on the device' }).toBe(true);
}

/** Another device of the account, without a browser: `ask(path, body)`. */
async function device(server, who = owner) {
  const headers = { 'Content-Type': 'application/json' };
  const base = `http://127.0.0.1:${server.port}`;
  const login = await fetch(`${base}/api/establish-session`, { method: 'POST', headers, body: JSON.stringify({ email: who.email, password: who.password }) });
  headers.cookie = login.headers.getSetCookie().map((each) => each.split(';')[0]).join('; ');
  return async (path, body) => (await fetch(base + path, body && { method: 'POST', headers, body: JSON.stringify(body) } || { headers })).json();
}

/** What the server has, asked for without the browser. */
async function stored(server, who = owner) {
  const ask = await device(server, who);
  return (await ask('/api/drafts')).drafts.map(({ text }) => text).sort();
}

/** Another device writes in a draft as it stands on the server. */
async function editElsewhere(server, text) {
  const ask = await device(server);
  const { drafts: [{ id, version }] } = await ask('/api/drafts');
  const operation = { id: crypto.randomUUID(), kind: 'draft.put', at: new Date().toISOString(), draftId: id, text, baseVersion: version };
  const { results } = await ask('/api/session/sync', { operations: [operation] });
  expect(results[0].status).toBe('applied');
}

/** The calls of the outbox that brought something, from now on. */
function calls(front) {
  const brought = [];
  front.override('/api/session/sync', async (req, body) => {
    const { operations } = JSON.parse(body);
    if (operations.length > 0) brought.push(...operations.map(({ text }) => text));
    return null;
  });
  return brought;
}

const isEmpty = (page) => expect.poll(async () => (await kept(page)).outbox, { message: 'all is sent', timeout: 20_000 }).toEqual([]);

test('drafts written without a network survive the end of the browser and arrive once', async ({ app, server, front, watch }) => {
  await atDrafts(app, server);
  cut(front, watch);
  watch.allowFailures('/drafts');
  let page = await app.reopen();
  await page.goto('/drafts');
  await expect(page.getByRole('heading', { level: 1 })).toContainText('You are offline');
  await write(page, 'Written at sea');
  await expect(state(page)).toHaveText('Offline, 1 change waiting');
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(row(page, 'Written at sea')).toContainText('Waiting');
  page = await app.reopen();
  await page.goto('/drafts');
  await expect(row(page, 'Written at sea')).toBeVisible();
  front.restore();
  await page.goto('/drafts');
  await isEmpty(page);
  await expect(row(page, 'Written at sea')).toBeVisible();
  await expect(page.locator('#draft-list .tag')).toHaveCount(0);
  expect(await stored(server)).toEqual(['Written at sea']);
});

test('an answer that is lost after its commit, before another device edits and the browser ends, has one effect', async ({ app, server, front, watch }) => {
  let page = await atDrafts(app, server);
  watch.allowFailures('/api/session/sync');
  watch.allowFailures('/drafts');
  const sent = [];
  const lost = new Promise((done) => {
    front.override('/api/session/sync', async (req, body, pass) => {
      const { operations } = JSON.parse(body);
      if (operations.length === 0) return null;
      await pass();
      sent.push(operations);
      cut(front, watch);
      done();
      throw new Error('the answer is lost');
    });
  });
  await write(page, 'Said twice, heard once');
  await lost;
  await editElsewhere(server, 'Edited on another device');
  page = await app.reopen();
  front.override('/api/session/sync', async (req, body) => {
    const { operations } = JSON.parse(body);
    if (operations.length > 0) sent.push(operations);
    return null;
  });
  front.restore();
  await page.goto('/drafts');
  await isEmpty(page);
  expect(sent.length).toBe(2);
  expect(sent[1]).toEqual(sent[0]);
  expect(await stored(server)).toEqual(['Edited on another device']);
  await expect(row(page, 'Edited on another device')).toBeVisible();
  await expect(page.locator('#draft-list li')).toHaveCount(1);
});

test('a tab that is closed while its drafts are on their way loses nothing and doubles nothing', async ({ app, server, front, watch }) => {
  const page = await atDrafts(app, server);
  watch.allowFailures('/api/session/sync');
  const arrived = new Promise((done) => {
    front.override('/api/session/sync', async (req, body, pass) => {
      const answer = await pass();
      if (JSON.parse(body).operations.length === 0) return answer;
      front.override('/api/session/sync', null);
      done();
      return new Promise(() => {});
    });
  });
  await write(page, 'Closed halfway');
  await arrived;
  const again = await app.context.newPage();
  await page.close();
  await again.goto('/drafts');
  await isEmpty(again);
  expect(await stored(server)).toEqual(['Closed halfway']);
});

for (const [what, happen] of [
  ['the network is said to be back', () => dispatchEvent(new Event('online'))],
  ['the page is looked at again', () => document.dispatchEvent(new Event('visibilitychange'))],
]) {
  test(`what waits is sent when ${what}`, async ({ app, server, front, watch }) => {
    const page = await atDrafts(app, server);
    cut(front, watch);
    watch.allowFailures('/drafts');
    await page.clock.install();
    await page.goto('/drafts?draft=new');
    // From here on no timer fires but those that the test lets fire: nothing is tried again by itself.
    await page.clock.pauseAt(new Date(Date.now() + 60_000));
    await field(page).fill('Waits for a sign');
    await page.clock.runFor(700);
    await expect(page.locator('#draft-state')).toContainText('It is sent when you are online');
    const isIdle = async () => (await page.evaluate(() => navigator.locks.query())).held.every(({ name }) => name !== 'sessile-outbox');
    await expect.poll(isIdle, { message: 'nothing is under way' }).toBe(true);
    // Nor by the worker, which has timers of its own.
    const tools = await app.context.newCDPSession(page);
    await tools.send('ServiceWorker.enable');
    await tools.send('ServiceWorker.stopAllWorkers');
    const brought = calls(front);
    front.restore();
    await expect(field(page)).toBeFocused();
    expect(brought).toEqual([]);
    await page.evaluate(happen);
    await isEmpty(page);
    expect(brought).toEqual(['Waits for a sign']);
  });
}

/** The browser's tools for workers, from a page that is none of the app's. */
async function workers(app) {
  const blank = await app.context.newPage();
  const tools = await app.context.newCDPSession(blank);
  let known;
  tools.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => { known = registrations[0] ?? known; });
  await tools.send('ServiceWorker.enable');
  await expect.poll(() => known?.registrationId, { message: 'the worker is known' }).toBeTruthy();
  return { blank, tools, registrationId: known.registrationId };
}

test('what waits is sent by the browser itself when no page is open any more', async ({ app, server, front, watch }) => {
  const page = await atDrafts(app, server);
  cut(front, watch);
  await write(page, 'Sent by the browser');
  const { tools, registrationId } = await workers(app);
  await page.close();
  // What the worker tries again by itself ends with it.
  await tools.send('ServiceWorker.stopAllWorkers');
  const brought = calls(front);
  front.restore();
  expect(await stored(server)).toEqual([]);
  await tools.send('ServiceWorker.dispatchSyncEvent', { origin: server.origin, registrationId, tag: 'outbox', lastChance: false });
  await expect.poll(() => stored(server), { timeout: 20_000 }).toEqual(['Sent by the browser']);
  expect(brought).toEqual(['Sent by the browser']);
});

test.describe('in the whole browser', () => {
  test.use({ whole: true });

  test('the browser is asked to send at each change, not only after something went wrong', async ({ app, server, front, watch }) => {
    const page = await atDrafts(app, server);
    watch.allowFailures('/api/session/sync');
    const tags = () => page.evaluate(async () => (await navigator.serviceWorker.ready).sync.getTags());
    expect(await tags()).toEqual([]);
    let release;
    const held = new Promise((done) => { release = done; });
    front.override('/api/session/sync', async () => {
      await held;
      return null;
    });
    await write(page, 'Left at once');
    await expect.poll(tags, { timeout: 8_000 }).toEqual(['outbox']);
    release();
    await isEmpty(page);
  });
});

test('pages and the worker send one at a time', async ({ app, server, front, watch }) => {
  const page = await atDrafts(app, server);
  const second = await app.context.newPage();
  await second.goto('/drafts');
  await second.locator('#draft-list').waitFor();
  const { tools, registrationId } = await workers(app);
  let [under, most] = [0, 0];
  const brought = [];
  front.override('/api/session/sync', async (req, body, pass) => {
    under += 1;
    most = Math.max(most, under);
    brought.push(...JSON.parse(body).operations.map(({ text }) => text));
    const answer = await pass();
    // So that whoever does not wait comes meanwhile.
    await new Promise((done) => { setTimeout(done, 300); });
    under -= 1;
    return answer;
  });
  await write(page, 'Only once');
  for (let at = 0; at < 3; at += 1) {
    await tools.send('ServiceWorker.dispatchSyncEvent', { origin: server.origin, registrationId, tag: 'outbox', lastChance: false });
    await second.evaluate(() => dispatchEvent(new Event('online')));
  }
  await isEmpty(page);
  expect(brought).toEqual(['Only once']);
  expect(most).toBe(1);
});

test('a text that is too long outlives the end of the browser, and is named before signing out', async ({ app, server, front }) => {
  let page = await atDrafts(app, server);
  const brought = calls(front);
  const long = 'y'.repeat(10_001);
  await write(page, long);
  page = await app.reopen();
  await page.goto('/drafts');
  await expect(row(page, 'yyy')).toContainText('Not saved');
  await row(page, 'yyy').click();
  await expect(field(page)).toHaveValue(long);
  await page.getByRole('banner').getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('dialog')).toContainText('1 draft has not been sent');
  await page.getByRole('button', { name: 'Stay signed in' }).click();
  await field(page).fill('y, in short');
  await isEmpty(page);
  expect(brought).toEqual(['y, in short']);
});

test('what waits is sent from whatever page comes first', async ({ app, server, front, watch }) => {
  const page = await atDrafts(app, server);
  cut(front, watch);
  await write(page, 'Sent from the first page');
  front.restore();
  await page.goto('/account');
  await isEmpty(page);
  expect(await stored(server)).toEqual(['Sent from the first page']);
});

test('two devices write one draft without a network, and both texts survive', async ({ app, server, front, watch, visitor }) => {
  const page = await atDrafts(app, server);
  await write(page, 'Begun');
  await isEmpty(page);
  const id = new URL(page.url()).searchParams.get('draft');
  const second = await visitor();
  await signIn(second);
  await second.goto(`/drafts?draft=${id}`);
  await expect(field(second)).toHaveValue('Begun');
  await expect.poll(async () => (await kept(second)).drafts?.length).toBe(1);
  cut(front, watch);
  await field(page).fill('Begun, on the phone');
  await field(second).fill('Begun, on the tablet');
  for (const one of [page, second]) {
    await expect.poll(async () => (await kept(one)).outbox.length).toBe(1);
  }
  front.restore();
  for (const one of [page, second]) {
    await one.reload();
    await isEmpty(one);
  }
  expect(await stored(server)).toEqual(['Begun, on the phone', 'Begun, on the tablet']);
});

test('after the session has ended the outbox waits, and is sent when the same person is back', async ({ app, server, front, watch }) => {
  const page = await atDrafts(app, server);
  cut(front, watch);
  await write(page, 'For later');
  await server.command('session', 'revoke', '--all');
  front.restore();
  await page.goto('/drafts');
  await expectLogin(page);
  await expect(page.getByRole('main')).toContainText(/signed out/i);
  expect((await kept(page)).outbox.length).toBe(1);
  await fillLogin(page);
  await signInButton(page).click();
  await page.waitForURL('**/drafts**');
  await isEmpty(page);
  expect(await stored(server)).toEqual(['For later']);
});

test('what one person wrote is never sent as another, nor shown to them', async ({ app, server, front, watch }) => {
  const page = await atDrafts(app, server);
  cut(front, watch);
  await write(page, 'Only mine');
  await server.command('session', 'revoke', '--all');
  front.restore();
  await page.goto('/signup');
  await page.locator('input[name=email]').fill(other.email);
  await page.locator('input[name=name]').fill(other.name);
  await page.locator('input[name=password]').fill(other.password);
  await page.getByRole('main').getByRole('button').filter({ hasText: /create|make/i }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Robin');
  await page.goto('/drafts');
  await expect(page.locator('#draft-list')).toContainText('No drafts yet');
  await expect(page.locator('body')).not.toContainText('Only mine');
  expect(await stored(server, other)).toEqual([]);
  expect((await kept(page)).outbox.length).toBe(1);
  await page.getByRole('banner').getByRole('button', { name: 'Sign out' }).click();
  await expectLogin(page);
  await fillLogin(page);
  await signInButton(page).click();
  await expectDashboard(page);
  await isEmpty(page);
  expect(await stored(server)).toEqual(['Only mine']);
});

test('an operation that is refused is set aside and shown, and holds up nothing', async ({ app, server, front }) => {
  const page = await atDrafts(app, server);
  let refused = false;
  front.override('/api/session/sync', async (req, body, pass) => {
    const answer = await pass();
    const sent = JSON.parse(body).operations;
    const at = sent.findIndex(({ text }) => text === 'Refused');
    if (at < 0 || refused) return answer;
    refused = true;
    const changed = JSON.parse(answer.body);
    changed.results[at] = { id: sent[at].id, status: 'rejected', problem: { type: 'conflict', title: 'Conflict', status: 409, detail: 'an account has at most 500 drafts' } };
    changed.changes = { drafts: [] };
    return { ...answer, body: Buffer.from(JSON.stringify(changed)) };
  });
  await write(page, 'Refused');
  await expect(page.getByRole('alert')).toContainText('This could not be saved: an account has at most 500 drafts.');
  await expect(field(page)).toHaveValue('Refused');
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(row(page, 'Refused')).toContainText('Not saved');
  await page.getByRole('link', { name: 'New draft' }).click();
  await field(page).fill('Goes on');
  await expect(page.locator('#draft-state')).toHaveText('Saved');
  await row(page, 'Refused').click();
  // A draft that was opened gets the focus once it is drawn.
  await expect(field(page)).toBeFocused();
  const again = page.getByRole('button', { name: 'Try again' });
  await again.focus();
  const ask = await device(server);
  const operation = { id: crypto.randomUUID(), kind: 'draft.put', at: new Date().toISOString(), draftId: 'kelp', text: 'From elsewhere', baseVersion: 0 };
  await ask('/api/session/sync', { operations: [operation] });
  await expect(row(page, 'From elsewhere')).toBeVisible();
  await expect(again).toBeFocused();
  await again.click();
  await expect(page.getByRole('alert')).toHaveCount(0);
  await isEmpty(page);
});

// What is written without a network: kept, sent once, by nobody else, and never lost.

import { cut, expect, kept, remembered, test, underWorker } from '../lib/app.mjs';
import { createOwner, expectDashboard, expectLogin, fillLogin, owner, signIn, signInButton } from '../lib/test.mjs';

const other = { email: 'second@example.test', name: 'Robin Second', password: 'quite another good phrase 7' };
const field = (page) => page.getByLabel('Your post');
const row = (page, text) => page.locator('#draft-list').getByRole('link', { name: text });
const state = (page) => page.locator('[data-state]');

/** Signed in, under the worker, and at the drafts. */
async function atDrafts(app, server) {
  const page = await app.open();
  await createOwner(page, server);
  await underWorker(page);
  await remembered(page);
  await page.goto('/drafts');
  await page.locator('#draft-list').waitFor();
  await expect.poll(async () => (await kept(page)).people[0]?.revision).toBe(0);
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

/** What the server has, asked for without the browser. */
async function stored(server, who = owner) {
  const headers = { 'Content-Type': 'application/json' };
  const login = await fetch(`http://127.0.0.1:${server.port}/api/establish-session`, { method: 'POST', headers, body: JSON.stringify({ email: who.email, password: who.password }) });
  const cookie = login.headers.getSetCookie().map((each) => each.split(';')[0]).join('; ');
  const answer = await fetch(`http://127.0.0.1:${server.port}/api/drafts`, { headers: { cookie } });
  return (await answer.json()).drafts.map(({ text }) => text).sort();
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

test('an answer that is lost after its commit changes nothing: it is sent again and has one effect', async ({ app, server, front, watch }) => {
  const page = await atDrafts(app, server);
  watch.allowFailures('/api/session/sync');
  let lost = 0;
  front.override('/api/session/sync', async (req, body, pass) => {
    const answer = await pass();
    if (lost < 2 && JSON.parse(body).operations.length > 0) {
      lost += 1;
      throw new Error('the answer is lost');
    }
    return answer;
  });
  await write(page, 'Said twice, heard once');
  await isEmpty(page);
  expect(lost).toBe(2);
  expect(await stored(server)).toEqual(['Said twice, heard once']);
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
  watch.expectStatus(401, '/api/session/sync');
  watch.expectStatus(401, '/api/session');
  watch.expectStatus(401, '/api/events');
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
  for (const path of ['/api/session/sync', '/api/session', '/api/events']) watch.expectStatus(401, path);
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
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('alert')).toHaveCount(0);
  await isEmpty(page);
});

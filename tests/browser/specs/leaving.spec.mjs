// Signing out when something is not as it should be: no sign-out is claimed that did not happen, and none leaves anything.

import { answer, atHome, cut, expect, expectNothingOf, heading, kept, owed, portal, put, signOutOffline, state, statusOf, test } from '../lib/app.mjs';
import { createOwner, expectDashboard, expectLogin, owner, settled, signOutButton } from '../lib/test.mjs';

const secret = 'a secret plan';
const words = [owner.name, owner.email, secret];
const left = (page) => expect(heading(page, 'You are signed out here')).toBeVisible({ timeout: 20_000 });

/** At home, with a draft; answers its cookies too. */
async function withDraft(app, server) {
  const page = await atHome(app, server);
  const [person] = (await kept(page)).people;
  await put(page, 'drafts', { account: person.id, id: 'd1', text: secret, version: 1 });
  return { page, person, cookies: await app.context.cookies() };
}

test('a page of the hotel is not the end of the session, and can be seen, without our cookie', async ({ app, server, front, watch }) => {
  const { page, cookies } = await withDraft(app, server);
  cut(front, watch);
  await page.goto('/dashboard');
  await signOutOffline(page).click();
  await left(page);
  const brought = [];
  const hotel = async (req) => {
    brought.push(req.headers.cookie);
    return portal('Welcome to the hotel');
  };
  front.override('/api/session/sync', async () => portal('Welcome to the hotel'));
  for (const path of ['/dashboard', '/readyz']) front.override(path, hotel);
  front.restore();
  // Whoever came too early tries again.
  await expect(async () => {
    await page.goto('/dashboard');
    await expect(heading(page, 'Welcome to the hotel')).toBeVisible({ timeout: 2_000 });
  }).toPass();
  expect(brought.filter(Boolean)).toEqual([]);
  expect((await owed(page)).length).toBe(1);
  expect(await statusOf(server, cookies)).toBe(200);
  for (const path of ['/api/session/sync', '/dashboard', '/readyz']) front.override(path, null);
  await page.goto('/dashboard');
  await expectLogin(page);
  expect(await owed(page)).toEqual([]);
  expect(await statusOf(server, cookies)).toBe(401);
});

test('the sign-in of a proxy can be reached while a sign-out is owed', async ({ app, server, front, watch, elsewhere }) => {
  const { page } = await withDraft(app, server);
  cut(front, watch);
  await page.goto('/dashboard');
  await signOutOffline(page).click();
  await left(page);
  const gate = await elsewhere('<h1>Sign in to the gate</h1>');
  for (const path of ['/api/session/sync', '/dashboard']) front.override(path, async () => answer(302, 'text/plain', '', { location: gate }));
  front.restore();
  await page.goto('/dashboard');
  await expect(heading(page, 'Sign in to the gate')).toBeVisible();
});

test('a redirect that is not ours is no sign-out: it is owed, and carried out later', async ({ app, server, front, watch, elsewhere }) => {
  const { page, cookies } = await withDraft(app, server);
  const gate = await elsewhere('<h1>Sign in to the gate</h1>');
  front.override('/logout', async () => answer(302, 'text/plain', '', { location: gate }));
  watch.allowFailures('/readyz');
  // What is owed is not carried out before it is looked at.
  front.override('/api/session/sync', async () => answer(302, 'text/plain', '', { location: gate }));
  await signOutButton(page).click();
  await page.waitForURL('**/offline');
  await expectNothingOf(page, words);
  expect((await owed(page)).length).toBe(1);
  expect(await statusOf(server, cookies)).toBe(200);
  front.override('/logout', null);
  front.override('/api/session/sync', null);
  await page.goto('/dashboard').catch(() => {});
  await expectLogin(page);
  expect(await statusOf(server, cookies)).toBe(401);
});

test('a sign-out that the service cannot do now is owed', async ({ app, server, front, watch }) => {
  const { page, cookies } = await withDraft(app, server);
  for (const path of ['/logout', '/api/session/sync']) {
    front.override(path, async () => answer(503, 'text/html', '<h1>Just a moment</h1>', { 'x-request-id': 'req_1' }));
    for (let n = 0; n < 9; n += 1) watch.expectStatus(503, path);
  }
  for (let n = 0; n < 9; n += 1) watch.expectStatus(503, '/readyz');
  await signOutButton(page).click();
  await left(page);
  await expect(state(page)).toHaveText("Can't reach Sessile");
  await expectNothingOf(page, words);
  expect(await statusOf(server, cookies)).toBe(200);
  for (const path of ['/logout', '/api/session/sync']) front.override(path, null);
  await page.goto('/dashboard').catch(() => {});
  await expectLogin(page);
  expect(await statusOf(server, cookies)).toBe(401);
});

test('a sign-out that nobody answers says what is going on, and ends by itself', async ({ app, server, front, watch }) => {
  const { page } = await withDraft(app, server);
  for (const path of ['/logout', '/api/session/sync']) front.override(path, () => new Promise(() => {}));
  for (const path of ['/logout', '/readyz']) watch.allowFailures(path);
  await signOutButton(page).click();
  const button = page.getByRole('banner').getByRole('button', { name: 'Signing out' });
  await expect(button).toBeDisabled();
  await page.waitForURL('**/offline', { timeout: 20_000 });
  await expectNothingOf(page, words);
});

test('the session of the page ends, also when another one is known here', async ({ app, server, front, watch }) => {
  const { page, person, cookies } = await withDraft(app, server);
  await put(page, 'people', { ...person, sessionId: 'aiq_1_before' });
  cut(front, watch);
  await signOutButton(page).click();
  await left(page);
  expect((await owed(page)).sort()).toEqual([person.sessionId, 'aiq_1_before'].sort());
  front.restore();
  await page.goto('/dashboard').catch(() => {});
  await expectLogin(page);
  await expect.poll(() => owed(page)).toEqual([]);
  expect(await statusOf(server, cookies)).toBe(401);
});

test('whoever forgets the device in use leaves nothing on it', async ({ app, server }) => {
  const { page } = await withDraft(app, server);
  await page.goto('/devices');
  await page.locator('.menu > summary').click();
  await page.getByRole('button', { name: /^Remove device/ }).click();
  await page.waitForURL('**/confirm?**');
  await page.getByRole('main').getByRole('button', { name: /^Remove device/ }).click();
  await expectLogin(page);
  await expectNothingOf(page, words);
});

test('what another device ends stays here, for the same person', async ({ app, server }) => {
  const { page, person } = await withDraft(app, server);
  await server.command('session', 'revoke', person.sessionId);
  await expectLogin(page);
  expect((await kept(page)).drafts.map(({ text }) => text)).toEqual([secret]);
});

test('on a device that is full nothing stays either', async ({ app, server }) => {
  const { page } = await withDraft(app, server);
  const fill = () => {
    IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };
  };
  await app.context.addInitScript(fill);
  await page.evaluate(fill);
  await signOutButton(page).click();
  await expectLogin(page);
  await expectNothingOf(page, words);
  expect((await kept(page)).marks.find(({ name }) => name === 'here')?.value ?? null).toBe(null);
});

test('on a device that is full nobody is shown any more whose session has ended', async ({ app, server, front, watch }) => {
  const { page, person } = await withDraft(app, server);
  await app.context.addInitScript(() => {
    IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };
  });
  await server.command('session', 'revoke', person.sessionId);
  await expectLogin(page);
  await expect.poll(async () => (await kept(page)).marks.find(({ name }) => name === 'here')?.value ?? null).toBe(null);
  cut(front, watch);
  await page.goto('/dashboard');
  await expect(heading(page, /You are offline/)).toBeVisible();
  await expect(page.locator('body')).not.toContainText(owner.name.split(' ')[0]);
});

test('a page that no worker controls makes the worker wait, too', async ({ app, server, front, watch }) => {
  const { page } = await withDraft(app, server);
  const preloads = () => page.evaluate(async () => (await (await navigator.serviceWorker.getRegistration()).navigationPreload.getState()).enabled);
  expect(await preloads()).toBe(true);
  const session = await app.context.newCDPSession(page);
  await Promise.all([page.waitForEvent('load'), session.send('Page.reload', { ignoreCache: true })]);
  await expectDashboard(page);
  expect(await page.evaluate(() => navigator.serviceWorker.controller)).toBe(null);
  front.override('/logout', async () => { throw new Error('lost'); });
  front.override('/api/session/sync', async () => { throw new Error('lost'); });
  for (const path of ['/logout', '/api/session/sync', '/readyz']) watch.allowFailures(path);
  await signOutButton(page).click();
  await left(page);
  expect(await preloads()).toBe(false);
  front.override('/logout', null);
  front.override('/api/session/sync', null);
  front.asked.length = 0;
  await page.goto('/dashboard').catch(() => {});
  await expectLogin(page);
  expect(front.asked.find((each) => !each.includes('/static/') && !['GET /sw.js', 'GET /readyz'].includes(each))).toBe('POST /api/session/sync');
  await expect.poll(preloads).toBe(true);
});

test('where no worker may run, a sign-out without a network asks, is said by the page itself, and is finished later', async ({ app, server, front, watch }) => {
  const page = await app.open({ serviceWorkers: 'block' });
  await createOwner(page, server);
  await settled(page);
  const [person] = (await kept(page)).people;
  await put(page, 'outbox', { account: person.id, op: { id: 'o1', kind: 'draft.put', draftId: 'd1', baseVersion: 0, text: secret }, state: 'aside' });
  const tab = await app.context.newPage();
  await tab.goto('/devices');
  const cookies = await app.context.cookies();
  cut(front, watch);
  await signOutButton(page).click();
  await expect(page.getByRole('dialog')).toContainText('1 draft has not been sent');
  await page.getByRole('button', { name: 'Sign out anyway' }).click();
  for (const each of [page, tab]) {
    await expect(heading(each, 'You are signed out on this device')).toBeVisible();
    await expect(each.locator('body')).not.toContainText(owner.name.split(' ')[0]);
  }
  await expectNothingOf(page, words);
  expect((await owed(page)).length).toBe(1);
  front.restore();
  for (const each of [page, tab]) await expectLogin(each);
  expect(await statusOf(server, cookies)).toBe(401);
  expect(await owed(page)).toEqual([]);
});

test('what is only to be deleted is not said to be lost', async ({ app, server, front, watch }) => {
  const { page, person } = await withDraft(app, server);
  cut(front, watch);
  await page.goto('/dashboard');
  await put(page, 'outbox', { account: person.id, op: { id: 'o1', kind: 'draft.delete', draftId: 'd1', baseVersion: 1 }, state: 'waiting' });
  await signOutOffline(page).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('1 change has not been sent');
  await expect(dialog).not.toContainText('draft');
  await page.getByRole('button', { name: 'Stay signed in' }).click();
  await put(page, 'outbox', { account: person.id, op: { id: 'o2', kind: 'draft.put', draftId: 'd2', baseVersion: 0, text: 'x' }, state: 'waiting' });
  await signOutOffline(page).click();
  await expect(dialog).toContainText('1 draft has not been sent');
  await expect(dialog).toContainText('It is only on this device.');
});

test('when the time is up on the open page without a network, nothing of the person is left in it', async ({ app, server, front, watch }) => {
  const { page, person } = await withDraft(app, server);
  cut(front, watch);
  await page.goto('/drafts');
  await expect(page.getByRole('main')).toContainText(secret);
  await put(page, 'people', { ...person, expiresAt: new Date(Date.now() - 1000).toISOString() });
  await expect(heading(page, 'Sign in to continue')).toBeVisible();
  for (const word of [owner.name, secret, 'This device', 'Chromium']) await expect(page.getByRole('main')).not.toContainText(word);
  await put(page, 'people', person);
  await expect(page.getByRole('main')).toContainText(secret);
});

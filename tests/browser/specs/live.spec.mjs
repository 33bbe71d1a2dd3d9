import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createOwner, expect, expectDashboard, expectLogin, owner, settled, signIn, signOutButton, test } from '../lib/test.mjs';

const run = promisify(execFile);

/** When the page is at the login, in milliseconds from now on. */
async function left(page, since) {
  await page.waitForURL((url) => url.pathname === '/login', { waitUntil: 'commit' });
  return Date.now() - since;
}

const streamOpen = (page) => page.waitForResponse((answer) => new URL(answer.url()).pathname === '/api/events' && answer.ok());

test('a page whose session is ended from elsewhere leaves by itself and says why', async ({ page, visitor, server }) => {
  await createOwner(page, server);
  const other = await visitor();
  const open = streamOpen(other);
  await signIn(other);
  await open;
  await settled(other);
  const { session } = await (await other.request.get('/api/session')).json();
  // From the other browser, as people do; the end counts from its answer.
  const leaving = other.waitForURL((url) => url.pathname === '/login', { waitUntil: 'commit' }).then(() => Date.now());
  const ended = await page.request.delete(`/api/sessions/${session.id}`, { headers: { Origin: server.origin } });
  const since = Date.now();
  expect(ended.status()).toBe(204);
  expect((await leaving) - since).toBeLessThan(1_000);
  await expectLogin(other);
  await expect(other.getByRole('main')).toContainText('You were signed out');
  expect(new URL(other.url()).searchParams.get('next')).toBe('/dashboard');
  await page.reload();
  await expectDashboard(page);
});

test('the page that asks for the password again leaves too', async ({ page, server }) => {
  await createOwner(page, server);
  const open = streamOpen(page);
  await page.goto('/confirm?next=/devices');
  await open;
  await server.command('session', 'revoke', '--all');
  await left(page, Date.now());
  expect(new URL(page.url()).searchParams.get('next')).toBe('/confirm?next=/devices');
});

test('all tabs of a browser share one stream, and all leave', async ({ page, server }) => {
  const open = streamOpen(page);
  await createOwner(page, server);
  await open;
  const context = page.context();
  const asked = [];
  context.on('request', (request) => {
    if (new URL(request.url()).pathname === '/api/events') asked.push(request);
  });
  const tabs = [await context.newPage(), await context.newPage()];
  for (const tab of tabs) await tab.goto('/dashboard');
  await settled(page);
  expect(asked).toEqual([]);
  const since = Date.now();
  await server.command('session', 'revoke', '--all');
  for (const tab of [page, ...tabs]) await left(tab, since);
});

test('when the tab that listens is closed another one listens', async ({ page, server }) => {
  await createOwner(page, server);
  const tab = await page.context().newPage();
  await tab.goto('/dashboard');
  const open = streamOpen(tab);
  await page.close();
  await open;
  await settled(tab);
  await server.command('session', 'revoke', '--all');
  await left(tab, Date.now());
});

test('signing in again in another tab leaves the pages where they are', async ({ page, server }) => {
  const open = streamOpen(page);
  await createOwner(page, server);
  await open;
  const again = streamOpen(page);
  const answer = await page.request.post('/api/establish-session', {
    headers: { Origin: server.origin },
    data: { email: owner.email, password: owner.password },
  });
  expect(answer.status()).toBe(200);
  await again;
  await settled(page);
  expect(new URL(page.url()).pathname).toBe('/dashboard');
  await server.command('session', 'revoke', '--all');
  await left(page, Date.now());
});

test('what happened while nothing was heard is fetched afterwards', async ({ page, visitor, server, watch }) => {
  const open = streamOpen(page);
  await createOwner(page, server);
  await open;
  watch.allowFailures('/api/events');
  await page.context().route('**/api/events', (route) => route.abort());
  await server.kill();
  await server.start();
  await signIn(await visitor());
  await expect(page.locator('.devices .row')).toHaveCount(1);
  await page.context().unroute('**/api/events');
  await expect(page.locator('.devices .row')).toHaveCount(2, { timeout: 30_000 });
});

test('a server that is away for a while is no sign-out', async ({ page, server }) => {
  const open = streamOpen(page);
  await createOwner(page, server);
  await open;
  await server.kill();
  const again = streamOpen(page);
  await server.start();
  await again;
  expect(new URL(page.url()).pathname).toBe('/dashboard');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
});

test('who signs out is sent to the login by the sign-out itself', async ({ page, server }) => {
  const open = streamOpen(page);
  await createOwner(page, server);
  await open;
  await signOutButton(page).click();
  await expectLogin(page);
  expect(new URL(page.url()).search).toBe('?done=signed-out');
  const names = (await page.context().cookies()).map(({ name }) => name);
  expect(names.filter((name) => name.startsWith('aiq_session'))).toEqual([]);
});

/** Holds the calls of the outbox back, where no worker is; `asked` when the first has come. */
async function holdSync(page) {
  const asked = page.waitForRequest('**/api/session/sync');
  await page.route('**/api/session/sync', () => {});
  return asked;
}

const givenUp = (page) => page.waitForEvent('requestfailed', (request) => request.url().endsWith('/api/session/sync'));

test('what is on its way is given up before somebody is signed out', async ({ visitor, server }) => {
  const page = await visitor({ serviceWorkers: 'block' });
  const asked = holdSync(page);
  await createOwner(page, server);
  await asked;
  const failed = givenUp(page);
  await page.route('**/logout', async (route) => {
    await failed;
    await route.continue();
  });
  await signOutButton(page).click();
  await expectLogin(page);
});

test('what is on its way is given up when the session ends elsewhere', async ({ visitor, server }) => {
  const page = await visitor({ serviceWorkers: 'block' });
  const open = streamOpen(page);
  const asked = holdSync(page);
  await createOwner(page, server);
  await Promise.all([open, asked]);
  // The page stays until the end of the case, as long as it takes to leave it.
  const failed = givenUp(page);
  await page.route('**/login**', async (route) => {
    await failed;
    await route.continue();
  });
  await server.command('session', 'revoke', '--all');
  await expectLogin(page);
});

test('what is on its way is given up before a form is sent, which may change the session', async ({ visitor, server }) => {
  const page = await visitor({ serviceWorkers: 'block' });
  const asked = holdSync(page);
  await createOwner(page, server);
  await asked;
  const again = page.waitForRequest('**/api/session/sync');
  await page.goto('/account');
  await again;
  const failed = givenUp(page);
  await page.route('**/account', async (route) => {
    await failed;
    await route.continue();
  });
  await page.getByLabel('Name', { exact: true }).fill('Wren of the Rocks');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('status')).toHaveText('Your name was changed.');
});

test('a marked region is fetched again when its list changes', async ({ page, visitor, server }) => {
  const open = streamOpen(page);
  await createOwner(page, server);
  await open;
  await expect(page.locator('[data-live~=sessions] .row')).toHaveCount(1);
  const other = await visitor();
  await signIn(other);
  await expect(page.locator('.devices .row')).toHaveCount(2);
});

const newcomer = (page) => page.getByRole('region', { name: /^New sign-in/ });
/** Says whether a page is still the one that was marked. */
const mark = (page) => page.evaluate(() => { globalThis.isMarked = true; });
const isMarked = (page) => page.evaluate(() => globalThis.isMarked === true);

test('cards of devices and the notice of a new one come by themselves, and a field in use keeps what is typed', async ({ page, visitor, server }) => {
  await createOwner(page, server);
  const open = streamOpen(page);
  await page.goto('/devices');
  await open;
  await mark(page);
  await expect(page.locator('#device-cards li.device')).toHaveCount(1);
  await signIn(await visitor());
  await expect(page.locator('#device-cards li.device')).toHaveCount(2);
  await expect(newcomer(page)).toContainText('Was it you?');
  const own = page.getByRole('listitem').filter({ hasText: 'This device' });
  await own.locator('summary').click();
  await own.getByLabel('New name').fill('By the wind');
  await signIn(await visitor());
  await expect(newcomer(page)).toContainText('There is one more');
  await expect(own.getByLabel('New name')).toHaveValue('By the wind');
  await expect(own.getByLabel('New name')).toBeFocused();
  await own.getByLabel('New name').pressSequentially('ow');
  await expect(own.getByLabel('New name')).toHaveValue('By the window');
  expect(await isMarked(page)).toBe(true);
});

test('the trail and the picture of the week follow by themselves', async ({ page, visitor, server }) => {
  await createOwner(page, server);
  const open = streamOpen(page);
  await page.goto('/activity');
  await open;
  await mark(page);
  const before = await page.locator('#week-text').textContent();
  const rows = await page.locator('#activity .trail > li').count();
  await signIn(await visitor());
  await expect(page.locator('#activity .trail > li')).toHaveCount(rows + 1);
  await expect(page.locator('#week-text')).not.toHaveText(before);
  expect(await isMarked(page)).toBe(true);
});

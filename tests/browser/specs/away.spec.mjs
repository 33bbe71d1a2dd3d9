// The page without a network, and the word that says how things stand: only what is known is said.

import { answer, atHome, cut, expect, heading, kept, portal, put, state, test, underWorker } from '../lib/app.mjs';
import { letAnHourPass } from '../lib/age.mjs';
import { createOwner, expectDashboard, fillLogin, makeDrafts, owner, settled, signInButton } from '../lib/test.mjs';

const HOUR = 3_600_000;
const hourAgo = () => new Date(Date.now() - HOUR).toISOString();

test('drafts that were written elsewhere are known here from whatever page was opened', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  await makeDrafts(page, server);
  // They are asked for at most once a minute.
  const [person] = (await kept(page)).people;
  await put(page, 'people', { ...person, draftsAsOf: hourAgo() });
  await page.reload();
  await expect.poll(async () => (await kept(page)).drafts.length).toBe(3);
  cut(front, watch);
  await page.goto('/drafts');
  await expect(page.locator('#draft-list').getByRole('link', { name: 'Low tide at six' })).toBeVisible();
});

test('the page without a network says since when drafts are known, or that they are not', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const { draftsAsOf, ...person } = (await kept(page)).people[0];
  cut(front, watch);
  await put(page, 'people', person);
  await page.goto('/drafts');
  await expect(heading(page, /You are offline/)).toBeVisible();
  const main = page.getByRole('main');
  await expect(main.getByText('What you wrote before is not known on this device.')).toBeVisible();
  await expect(page.getByText('No drafts yet')).toBeHidden();
  await put(page, 'people', { ...person, draftsAsOf: new Date(Date.now() - 48 * HOUR).toISOString() });
  await expect(main.getByText(/and what you wrote here since/)).not.toContainText('today');
  await expect(main.getByText(/and what you wrote here since/)).toBeVisible();
  await expect(main.getByText('What you wrote before is not known')).toBeHidden();
});

test('a page that takes long is shown when it comes, and asked for once', async ({ app, server, front }) => {
  const page = await atHome(app, server);
  let arrive;
  const slow = new Promise((done) => { arrive = done; });
  front.override('/devices', async (req, body, pass) => {
    await slow;
    return pass();
  });
  front.asked.length = 0;
  await page.goto('/devices');
  await expect(heading(page, new RegExp(`You are offline, ${owner.name.split(' ')[0]}`))).toBeVisible();
  // The service is there, so this must not load the page over and over.
  await expect(page.getByText('You are signed in on this device until')).toBeVisible();
  arrive();
  await expect(heading(page, /devices/i)).toBeVisible();
  await expect(page.getByText('You are signed in on this device until')).toHaveCount(0);
  // The browser's own request, and that of the page that took its place, of which nobody waits for the answer.
  const asked = front.asked.filter((each) => each === 'GET /devices').length;
  expect(asked).toBeLessThanOrEqual(2);
});

test('a clock that was put back shows nothing that may have ended', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  cut(front, watch);
  await page.clock.setSystemTime(Date.now() - 24 * HOUR);
  await page.goto('/dashboard');
  await expect(heading(page, 'Sign in to continue')).toBeVisible();
  await expect(page.locator('body')).not.toContainText(owner.name.split(' ')[0]);
});

test('a clock that is wrong all along changes nothing', async ({ app, server, front, watch }) => {
  const page = await app.open();
  await page.clock.setSystemTime(Date.now() + 100 * HOUR);
  await createOwner(page, server);
  await underWorker(page);
  await settled(page);
  cut(front, watch);
  await page.goto('/dashboard');
  await expect(heading(page, new RegExp(owner.name.split(' ')[0]))).toBeVisible();
  await expect(page.getByRole('main')).toContainText('You are signed in on this device until');
});

test('what cannot be sent is asked to be kept when the device needs room', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const { id: account } = (await kept(page)).people[0];
  await app.context.addInitScript(() => {
    navigator.storage.persist = async () => { globalThis.isPersistent = true; };
  });
  cut(front, watch);
  await page.goto('/dashboard');
  await expect(state(page)).toHaveText('Offline');
  expect(await page.evaluate(() => globalThis.isPersistent)).toBe(undefined);
  await put(page, 'outbox', { account, op: { id: 'o1', kind: 'draft.put', draftId: 'd1', text: 'x', baseVersion: 0 }, state: 'waiting' });
  await expect.poll(() => page.evaluate(() => globalThis.isPersistent)).toBe(true);
});

test('what was set aside is not said to be saved, and what nobody sends is not said to be on its way', async ({ app, server }) => {
  const page = await atHome(app, server);
  const { id: account } = (await kept(page)).people[0];
  const say = (standing) => page.evaluate((word) => {
    const changes = new BroadcastChannel('sessile-store');
    changes.postMessage({ standing: word });
    changes.close();
  }, standing);
  await expect(state(page)).toHaveAttribute('data-state', 'ok');
  await put(page, 'outbox', { account, op: { id: 'o1', kind: 'draft.put', draftId: 'd1', text: 'x' }, state: 'aside' });
  await expect(state(page)).toHaveText('1 change not saved');
  await put(page, 'outbox', { account, op: { id: 'o2', kind: 'draft.put', draftId: 'd2', text: 'x' }, state: 'waiting' });
  await expect(state(page)).toHaveText('Saving');
  await say('signed-out');
  await expect(state(page)).toHaveText('Signed out, 1 change waiting');
  await say('somebody-else');
  await expect(state(page)).toHaveText('Somebody else is signed in, 1 change waiting');
});

test('the page of the hotel is not the service, and what the browser believes of the network is not asked', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  front.override('/readyz', async () => portal('Welcome to the hotel'));
  await page.evaluate(() => dispatchEvent(new Event('offline')));
  await expect(state(page)).toHaveText('Offline');
  const asked = () => front.asked.filter((each) => each === 'GET /readyz').length;
  await expect.poll(asked, { timeout: 20_000 }).toBeGreaterThan(0);
  await expect(state(page)).toHaveText('Offline');
  front.override('/readyz', null);
  await page.evaluate(() => {
    Object.defineProperty(navigator, 'onLine', { get: () => false });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await expect(state(page)).toHaveAttribute('data-state', 'ok', { timeout: 20_000 });
});

test('an answer to what was asked before the network went does not say that it is back', async ({ app, server, front }) => {
  const page = await atHome(app, server);
  let arrive;
  const slow = new Promise((done) => { arrive = done; });
  front.override('/api/session', async (req, body, pass) => {
    await slow;
    return pass();
  });
  front.override('/readyz', async () => portal('Welcome to the hotel'));
  const [person] = (await kept(page)).people;
  await put(page, 'people', { ...person, devicesAsOf: hourAgo() });
  const asked = page.waitForRequest('**/api/session');
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await asked;
  await page.evaluate(() => dispatchEvent(new Event('offline')));
  await expect(state(page)).toHaveText('Offline');
  const said = page.evaluate(() => new Promise((done) => { document.addEventListener('service-state', ({ detail }) => done(detail)); }));
  const before = front.asked.filter((each) => each === 'GET /readyz').length;
  arrive();
  await expect.poll(() => front.asked.filter((each) => each === 'GET /readyz').length).toBeGreaterThan(before);
  await expect(state(page)).toHaveText('Offline');
  // It is asked until it is true.
  front.override('/readyz', null);
  expect(await said).toBe('ok');
});

test.describe('in a new installation', () => {
  test.use({ fresh: true });
  test('every page says how things stand', async ({ app, server, front, watch, visitor }) => {
    const page = await app.open();
    const isOnline = async (who, path) => {
      await who.goto(path);
      await expect(state(who)).toHaveAttribute('data-state', 'ok');
    };
    for (const path of [server.setupLink, '/login']) await isOnline(page, path);
    await createOwner(page, server);
    await isOnline(await visitor(), '/signup');
    for (const path of ['/dashboard', '/devices', '/activity', '/drafts', '/account', '/confirm?next=/account']) {
      await page.goto(path);
      await expect(state(page)).toHaveAttribute('data-state', 'ok');
    }
    watch.expectStatus(404, '/no-such-page');
    await page.goto('/no-such-page');
    await expect(state(page)).toHaveAttribute('data-state', 'ok');
    front.override('/activity', async () => answer(503, 'text/html', (await (await fetch(`http://127.0.0.1:${server.port}/no-such-page`)).text()), { 'x-request-id': 'req_1' }));
    front.override('/readyz', async () => answer(503, 'application/json', '{}'));
    await page.evaluate(async () => { for (const one of await navigator.serviceWorker.getRegistrations()) await one.unregister(); });
    for (let n = 0; n < 5; n += 1) for (const path of ['/activity', '/readyz']) watch.expectStatus(503, path);
    await page.goto('/activity');
    await expect(state(page)).toHaveText("Can't reach Sessile");
  });
});

test('a session that still lives goes on when the network is back: extended, on the same device', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const session = async () => (await (await page.request.get('/api/session', { headers: { 'X-Unattended': '1' } })).json()).session;
  await letAnHourPass(server);
  const before = await session();
  cut(front, watch);
  await page.goto('/dashboard');
  await expect(heading(page, /You are offline/)).toBeVisible();
  front.restore();
  await expectDashboard(page);
  await expect(page.locator('body:not(.offline)')).toBeVisible({ timeout: 30_000 });
  const after = await session();
  expect([after.id, after.deviceId]).toEqual([before.id, before.deviceId]);
  expect(Date.parse(after.expiresAt) - Date.parse(before.expiresAt)).toBeGreaterThan(HOUR / 2);
  await page.goto('/devices');
  await expect(page.locator('.device')).toHaveCount(1);
});

test('a cache that is gone, or cannot be read, is no cache: pages come from the network', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  await page.evaluate(async () => { for (const name of await caches.keys()) await caches.delete(name); });
  await page.goto('/devices');
  await expect(heading(page, /devices/i)).toBeVisible();
  await expect(state(page)).toHaveAttribute('data-state', 'ok');
  const [worker] = app.context.serviceWorkers();
  await worker.evaluate(() => { caches.match = () => Promise.reject(new Error('cannot be read')); });
  await page.goto('/dashboard');
  await expectDashboard(page);
  await expect(state(page)).toHaveAttribute('data-state', 'ok');
  // Without a shell a slow page is waited for.
  front.override('/devices', async (req, body, pass) => {
    await new Promise((done) => { setTimeout(done, 4_000); });
    return pass();
  });
  await page.goto('/devices');
  await expect(heading(page, /devices/i)).toBeVisible();
});

test('a new version that was taken into use meanwhile is only loaded', async ({ app, server, front }) => {
  const page = await atHome(app, server);
  await front.next();
  await page.evaluate(() => navigator.serviceWorker.getRegistration().then((known) => known.update()));
  await expect(page.getByText('A new version is ready.')).toBeVisible();
  await page.evaluate(() => {
    globalThis.isOld = true;
    Object.defineProperty(ServiceWorkerRegistration.prototype, 'waiting', { get: () => null });
  });
  await page.getByRole('button', { name: 'Use it now' }).click();
  await expect.poll(() => page.evaluate(() => globalThis.isOld).catch(() => true)).toBe(undefined);
});

test('a browser without the newer signals hears of the end of its session all the same', async ({ app, server }) => {
  const page = await app.open();
  await app.context.addInitScript(() => { delete AbortSignal.any; });
  const listens = page.waitForResponse((one) => one.url().endsWith('/api/events'));
  await createOwner(page, server);
  await listens;
  await server.command('session', 'revoke', '--all');
  await page.waitForURL((url) => url.pathname === '/login');
  await fillLogin(page);
  await signInButton(page).click();
  await expectDashboard(page);
});

/** The browser's own question, which comes when it likes. */
const withoutItsOwn = () => addEventListener('beforeinstallprompt', (event) => { if (event.isTrusted) event.stopImmediatePropagation(); }, true);

test('where the browser can install the app there is a button, which asks once', async ({ app, server }) => {
  const page = await app.open();
  await app.context.addInitScript(withoutItsOwn);
  await createOwner(page, server);
  const card = page.locator('[data-install]');
  const offered = () => page.evaluate(() => {
    const event = new Event('beforeinstallprompt', { cancelable: true });
    event.prompt = async () => { globalThis.asked = (globalThis.asked ?? 0) + 1; };
    dispatchEvent(event);
    return event.defaultPrevented;
  });
  expect(await offered()).toBe(true);
  const button = card.getByRole('button', { name: 'Install' });
  await expect(button).toBeVisible();
  await expect(card).not.toContainText(/Add to Home Screen/, { useInnerText: true });
  await button.click();
  expect(await page.evaluate(() => globalThis.asked)).toBe(1);
  await expect(card).toBeHidden();
  await offered();
  await expect(button).toBeVisible();
  await page.evaluate(() => dispatchEvent(new Event('appinstalled')));
  await expect(card).toBeHidden();
});

test('where it can be done only by hand, the page says how, until it is done', async ({ app, server }) => {
  const page = await app.open();
  await app.context.addInitScript(withoutItsOwn);
  await app.context.addInitScript(() => { navigator.standalone = sessionStorage.getItem('standalone') === 'true'; });
  await createOwner(page, server);
  const card = page.locator('[data-install]');
  await expect(card.getByText('In Safari, tap Share, then Add to Home Screen.')).toBeVisible();
  await expect(card.getByRole('button')).toBeHidden();
  await page.evaluate(() => sessionStorage.setItem('standalone', 'true'));
  await page.reload();
  await expectDashboard(page);
  await expect(card).toBeHidden();
});

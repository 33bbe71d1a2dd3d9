import { cut, expect, kept, put, remembered, test, underWorker } from '../lib/app.mjs';
import { createOwner, expectDashboard, expectLogin, fillLogin, owner, signIn, signInButton, signOutButton } from '../lib/test.mjs';

const other = { email: 'second@example.test', name: 'Robin Second', password: 'quite another good phrase 7' };

/** Signed in, known and under the worker. */
async function atHome(app, server) {
  const page = await app.open();
  await createOwner(page, server);
  await underWorker(page);
  await remembered(page);
  return page;
}

const state = (page) => page.locator('[data-state]');
const signOutOffline = (page) => page.getByRole('banner').getByRole('button', { name: 'Sign out' });

test('the browser finds nothing that keeps it from installing the app', async ({ app, server }) => {
  const page = await atHome(app, server);
  const session = await app.context.newCDPSession(page);
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
  expect(installabilityErrors).toEqual([]);
  const { errors, data } = await session.send('Page.getAppManifest');
  expect(errors).toEqual([]);
  expect(JSON.parse(data).display).toBe('standalone');
});

test('without a server the app opens and shows the last state, said to be unverified', async ({ app, server, front, watch }) => {
  await atHome(app, server);
  cut(front, watch);
  const page = await app.reopen();
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1 })).toContainText(owner.name);
  await expect(page.getByRole('main')).toContainText(/None of it is verified/);
  await expect(page.getByRole('main')).toContainText(/2 days left|3 days left|7\d hours left/);
  await expect(page.getByText(/As of today \d/).first()).toBeVisible();
  await expect(page.getByRole('listitem')).toContainText(['This device']);
  await expect(state(page)).toHaveText('Offline');
  front.restore();
  await page.getByRole('button', { name: 'Try again' }).and(page.locator(':visible')).first().click();
  await expectDashboard(page);
  await expect(state(page)).toHaveText('Online, saved');
});

test('the page without a network opens the real one by itself when the server is back', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  cut(front, watch);
  await page.goto('/devices');
  await expect(page.getByRole('heading', { level: 1 })).toContainText('You are offline');
  front.restore();
  await expect(page.getByRole('heading', { level: 1 })).not.toContainText('offline', { timeout: 20_000 });
  expect(new URL(page.url()).pathname).toBe('/devices');
});

test('after the known end of the session the page without a network hides everything', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  cut(front, watch);
  const [person] = (await kept(page)).people;
  await put(page, 'people', { ...person, expiresAt: new Date(Date.now() - 1000).toISOString() });
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1, name: 'Sign in to go on' })).toBeVisible();
  await expect(page.locator('body')).not.toContainText(owner.name);
});

test('a service that is away is said to be away, and nobody is signed out', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const away = async () => ({ status: 503, headers: { 'content-type': 'text/html', 'x-request-id': 'req_1' }, body: Buffer.from('<link rel=icon href=data:,><h1>Just a moment</h1>') });
  front.override('/dashboard', away);
  watch.expectStatus(503, '/dashboard');
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Just a moment');
  watch.expectStatus(502, '/dashboard');
  front.override('/dashboard', async () => ({ status: 502, headers: { 'content-type': 'text/html' }, body: Buffer.from('<link rel=icon href=data:,>Bad gateway') }));
  watch.expectStatus(502, '/dashboard');
  await page.reload();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('You are offline');
  front.override('/dashboard', null);
  // It may be on its way there by itself.
  await page.goto('/dashboard').catch(() => {});
  await expectDashboard(page);
});

test('signing out online leaves nothing of the person in the browser', async ({ app, server }) => {
  const page = await atHome(app, server);
  await put(page, 'drafts', { account: (await kept(page)).people[0].id, id: 'd1', text: 'a secret plan', version: 1 });
  expect(JSON.stringify(await kept(page))).toContain('a secret plan');
  await signOutButton(page).click();
  await expectLogin(page);
  await expectNothingOf(page);
});

async function expectNothingOf(page) {
  await expect.poll(async () => (await kept(page)).people).toEqual([]);
  const text = JSON.stringify(await kept(page));
  for (const word of [owner.name, owner.email, 'a secret plan']) expect(text).not.toContain(word);
}

test('drafts that are not sent are named before signing out, and staying keeps them', async ({ app, server }) => {
  const page = await atHome(app, server);
  const account = (await kept(page)).people[0].id;
  for (const n of [1, 2]) await put(page, 'outbox', { account, op: { id: `o${n}`, kind: 'draft.put', draftId: `d${n}`, text: 'a secret plan' }, state: 'aside' });
  await signOutButton(page).click();
  await expect(page.getByRole('dialog')).toContainText('2 drafts have not been sent');
  await page.getByRole('button', { name: 'Stay signed in' }).click();
  await expectDashboard(page);
  expect((await kept(page)).outbox.length).toBe(2);
  await signOutButton(page).click();
  await page.getByRole('button', { name: 'Sign out anyway' }).click();
  await expectLogin(page);
  await expectNothingOf(page);
});

test('signing out offline removes everything at once and is carried out before anything else', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const account = (await kept(page)).people[0].id;
  await put(page, 'drafts', { account, id: 'd1', text: 'a secret plan', version: 1 });
  await put(page, 'outbox', { account, op: { id: 'o1', kind: 'draft.put', draftId: 'd1', text: 'a secret plan' }, state: 'aside' });
  const cookies = await app.context.cookies();
  cut(front, watch);
  await page.goto('/dashboard');
  await signOutOffline(page).click();
  await expect(page.getByRole('dialog')).toContainText('1 draft has not been sent');
  await page.getByRole('button', { name: 'Sign out anyway' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'You are signed out here' })).toBeVisible();
  await expectNothingOf(page);
  front.asked.length = 0;
  front.restore();
  await page.goto('/dashboard');
  await expectLogin(page);
  const first = front.asked.find((each) => !each.includes('/static/'));
  expect(first).toBe('POST /api/session/sync');
  expect((await kept(page)).marks.find(({ name }) => name === 'goodbyes')?.value ?? []).toEqual([]);
  // The session has really ended, for whoever still has its cookie.
  const answer = await fetch(`${server.origin}/api/session`, { headers: { Cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; ') } });
  expect(answer.status).toBe(401);
  // And it ends no other.
  await signIn(page);
  await page.reload();
  await expectDashboard(page);
});

test('signing out on an open page without a server is the same, for every tab', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const tab = await app.context.newPage();
  await tab.goto('/devices');
  await underWorker(tab);
  cut(front, watch);
  await signOutButton(page).click();
  for (const each of [page, tab]) {
    await expect(each.getByRole('heading', { level: 1, name: 'You are signed out here' })).toBeVisible();
    await expect(each.locator('body')).not.toContainText(owner.name);
  }
  await expectNothingOf(page);
  front.asked.length = 0;
  front.restore();
  // The page without a network finds out by itself.
  await expect(signInButton(page)).toBeVisible({ timeout: 30_000 });
  // What the browser asks for by itself, without the cookie, comes as it comes.
  const asked = front.asked.filter((each) => !each.includes('/static/') && !['GET /sw.js', 'GET /readyz'].includes(each));
  expect(asked[0]).toBe('POST /api/session/sync');
});

test('signing out in a tab that is older than the session ends the session as it is now', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const tab = await app.context.newPage();
  const before = await page.locator('html').getAttribute('data-session');
  // The same person signs in once more: the session has a new id, which the first page does not show.
  const again = await tab.request.post('/api/establish-session', { headers: { Origin: server.origin }, data: { email: owner.email, password: owner.password } });
  expect(again.status()).toBe(200);
  await tab.goto('/devices');
  const after = await tab.locator('html').getAttribute('data-session');
  expect(after).not.toBe(before);
  await expect.poll(async () => (await kept(tab)).people[0]?.sessionId).toBe(after);
  cut(front, watch);
  await signOutButton(page).click();
  await expect(page.getByRole('heading', { level: 1, name: 'You are signed out here' })).toBeVisible();
  expect((await kept(page)).marks.find(({ name }) => name === 'goodbyes').value).toEqual([after]);
});

test('whoever was about to leave and has stayed keeps what is here', async ({ app, server }) => {
  const page = await atHome(app, server);
  const [{ id: account, sessionId }] = (await kept(page)).people;
  await put(page, 'drafts', { account, id: 'd1', text: 'a secret plan', version: 1 });
  await put(page, 'marks', { name: 'leaving', value: { account, sessionId, at: new Date().toISOString() } });
  await page.reload();
  await expect.poll(async () => (await kept(page)).marks.some(({ name }) => name === 'leaving')).toBe(false);
  expect((await kept(page)).drafts.map(({ text }) => text)).toEqual(['a secret plan']);
});

test('a page that was gone before its sign-out was done leaves nothing either', async ({ app, server, watch }) => {
  const page = await atHome(app, server);
  const [{ id: account, sessionId }] = (await kept(page)).people;
  await put(page, 'drafts', { account, id: 'd1', text: 'a secret plan', version: 1 });
  await put(page, 'marks', { name: 'leaving', value: { account, sessionId, at: new Date().toISOString() } });
  for (const path of ['/api/session', '/api/events']) watch.allowFailures(path);
  await server.command('session', 'revoke', sessionId);
  await page.goto('/dashboard');
  await expectLogin(page);
  await expectNothingOf(page);
});

test('while a sign-out cannot be carried out no page is shown', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  cut(front, watch);
  await page.goto('/dashboard');
  await signOutOffline(page).click();
  await expect(page.getByRole('heading', { level: 1, name: 'You are signed out here' })).toBeVisible();
  front.override('/api/session/sync', async () => ({ status: 503, headers: { 'content-type': 'application/problem+json', 'retry-after': '1' }, body: Buffer.from('{"type":"unavailable"}') }));
  front.asked.length = 0;
  front.restore();
  for (let n = 0; n < 9; n += 1) watch.expectStatus(503, '/api/session/sync');
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1, name: 'You are signed out here' })).toBeVisible();
  // Nothing goes out but the sign-out: no other call, and no exchange of drafts.
  const call = (address, init) => page.evaluate(([to, how]) => fetch(to, how).then(() => true, () => false), [address, init]);
  expect(await call('/api/session')).toBe(false);
  expect(await call('/api/session/sync', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' })).toBe(false);
  const others = front.asked.filter((each) => !each.includes('/static/') && each !== 'POST /api/session/sync' && each !== 'GET /sw.js');
  expect(others).toEqual([]);
});

test('another person on the same browser sees nothing of the one before', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const account = (await kept(page)).people[0].id;
  await put(page, 'drafts', { account, id: 'd1', text: 'a secret plan', version: 1 });
  // The session ends without signing out here; then somebody else comes.
  await server.command('session', 'revoke', '--all');
  await expectLogin(page);
  cut(front, watch);
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1, name: 'You are offline' })).toBeVisible();
  await expect(page.locator('body')).not.toContainText(owner.name);
  front.restore();
  await page.goto('/signup');
  await page.locator('input[name=name]').fill(other.name);
  await page.locator('input[name=email]').fill(other.email);
  await page.locator('input[name=password]').fill(other.password);
  await page.getByRole('button', { name: /create .*account/i }).click();
  await page.waitForURL('**/dashboard');
  await expect.poll(async () => (await kept(page)).people.length).toBe(2);
  cut(front, watch);
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1 })).toContainText(other.name);
  await expect(page.locator('body')).not.toContainText(owner.name);
  await expect(page.locator('body')).not.toContainText('a secret plan');
  front.restore();
  await page.goto('/dashboard');
  // The first one's things wait for the first one.
  await signOutButton(page).click();
  await expectLogin(page);
  expect((await kept(page)).people.map(({ name }) => name)).toEqual([owner.name]);
  await fillLogin(page);
  await signInButton(page).click();
  await expectDashboard(page);
  expect((await kept(page)).drafts.map(({ text }) => text)).toEqual(['a secret plan']);
});

test('an update is offered, applied with one reload, and never mixes builds', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const { old, path } = await front.next();
  await page.evaluate(() => navigator.serviceWorker.getRegistration().then((known) => known.update()));
  await expect(page.getByText('A new version is ready.')).toBeVisible();
  // Until then the page stays with its own build, though the server has it no more.
  expect(await page.evaluate((address) => fetch(address).then((answer) => answer.status), old)).toBe(200);
  const loads = [];
  page.on('framenavigated', (frame) => loads.push(frame.url()));
  await page.getByRole('button', { name: 'Use it now' }).click();
  await expect.poll(() => page.locator(`link[href="${path}"]`).count()).toBe(1);
  await underWorker(page);
  expect(loads.length).toBe(1);
  expect(await page.locator(`link[href="${old}"]`).count()).toBe(0);
  const names = Object.keys((await kept(page)).caches);
  expect(names.length).toBe(2);
  const newest = (await kept(page)).caches[names.at(-1)];
  expect(newest[path]).toContain('another build');
  expect(newest['/offline']).toContain(path);
  await expect(page.getByText('A new version is ready.')).toBeHidden();
  // The page without a network is the new build's, too.
  cut(front, watch);
  await page.goto('/devices');
  await expect(page.getByRole('heading', { level: 1 })).toContainText(owner.name);
  expect(await page.locator(`link[href="${path}"]`).count()).toBe(1);
});

for (const damage of ['missing', 'other']) {
  test(`an update of which a file is ${damage} leaves the old worker in place`, async ({ app, server, front, watch }) => {
    const page = await atHome(app, server);
    const before = Object.keys((await kept(page)).caches);
    const { path } = await front.next(damage);
    const failed = await page.evaluate(async () => {
      const known = await navigator.serviceWorker.getRegistration();
      const coming = new Promise((done) => known.addEventListener('updatefound', () => done(known.installing)));
      await known.update();
      const worker = await coming;
      if (worker.state !== 'redundant') await new Promise((done) => worker.addEventListener('statechange', done));
      return worker.state;
    });
    expect(failed).toBe('redundant');
    expect(Object.keys((await kept(page)).caches)).toEqual(before);
    expect(front.asked).toContain(`GET ${path}`);
    if (damage === 'missing') watch.expectStatus(404, path);
    await page.reload();
    await expectDashboard(page);
    cut(front, watch);
    await page.goto('/devices');
    await expect(page.getByRole('heading', { level: 1 })).toContainText(owner.name);
  });
}

test('a link from another site opens the page for who is signed in, through the worker too', async ({ app, server, elsewhere }) => {
  const page = await atHome(app, server);
  const shop = await elsewhere(`<a href="${server.origin}/devices">Go</a>`);
  await page.goto(shop);
  await page.getByRole('link', { name: 'Go' }).click();
  await page.waitForURL('**/devices');
  await expect(page.getByRole('heading', { level: 1 })).toContainText(/devices/i);
});

test('caches hold what the build lists and nothing else', async ({ app, server }) => {
  const page = await atHome(app, server);
  for (const path of ['/devices', '/activity', '/account', '/dashboard']) await page.goto(path);
  const worker = await (await fetch(`${server.origin}/sw.js`)).text();
  const build = JSON.parse(worker.split('\n')[0].replace(/^const BUILD = /, '').replace(/;$/, ''));
  const { caches } = await kept(page);
  expect(Object.keys(caches)).toEqual([`sessile-${build.id}`]);
  expect(Object.keys(caches[`sessile-${build.id}`]).sort()).toEqual(Object.keys(build.files).sort());
});

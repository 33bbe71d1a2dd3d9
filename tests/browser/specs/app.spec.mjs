import { answer, atHome, cut, expect, expectNothingOf as expectNothing, kept, owed, put, signOutOffline, state, statusOf, test, underWorker } from '../lib/app.mjs';
import { expectDashboard, expectLogin, fillLogin, owner, signInButton, signOutButton } from '../lib/test.mjs';

const other = { email: 'second@example.test', name: 'Robin Second', password: 'quite another good phrase 7' };

test.describe('in the whole browser', () => {
  // The headless shell installs nothing, so it finds no icon wanting.
  test.use({ whole: true });

  test('the browser finds nothing that keeps it from installing the app', async ({ app, server }) => {
    const page = await atHome(app, server);
    const session = await app.context.newCDPSession(page);
    const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
    expect(installabilityErrors).toEqual([]);
    const { errors, data } = await session.send('Page.getAppManifest');
    expect(errors).toEqual([]);
    expect(JSON.parse(data).display).toBe('standalone');
  });
});

test('without a server the app opens and shows the last state, and since when it is known', async ({ app, server, front, watch }) => {
  const first = await atHome(app, server);
  const until = await first.locator('.until').getByRole('time').textContent();
  cut(front, watch);
  const page = await app.reopen();
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1 })).toContainText(owner.name.split(' ')[0]);
  await expect(page.getByRole('main')).toContainText(/Showing what this device last saw, today \d/);
  // As the dashboard said it a moment ago.
  await expect(page.getByRole('main')).toContainText(`You are signed in on this device until ${until}`);
  await expect(page.getByText(/As of today \d/).first()).toBeVisible();
  await expect(page.getByRole('listitem')).toContainText(['This device']);
  await expect(state(page)).toHaveText('Offline');
  front.restore();
  await page.getByRole('button', { name: 'Try again' }).and(page.locator(':visible')).first().click();
  await expectDashboard(page);
  await expect(state(page)).toHaveAttribute('data-state', 'ok');
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
  await expect(page.getByRole('heading', { level: 1, name: 'Sign in to continue' })).toBeVisible();
  await expect(page.locator('body')).not.toContainText(owner.name.split(' ')[0]);
});

test('a service that is away is said to be away, people go on writing, and nobody is signed out', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const away = async () => answer(503, 'text/html', '<link rel=icon href=data:,><h1>Just a moment</h1>', { 'x-request-id': 'req_1' });
  const down = async () => answer(503, 'application/json', '{"status":"down"}');
  for (const path of ['/dashboard', '/drafts', '/login']) front.override(path, away);
  for (const path of ['/readyz', '/api/session/sync']) front.override(path, down);
  for (let n = 0; n < 20; n += 1) for (const path of ['/readyz', '/api/session/sync']) watch.expectStatus(503, path);
  await page.goto('/drafts');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`Can't reach Sessile, ${owner.name.split(' ')[0]}`);
  await expect(state(page)).toHaveText("Can't reach Sessile");
  await page.getByRole('link', { name: 'New draft' }).click();
  await page.getByLabel('Your post').fill('Written while it was away');
  await expect.poll(async () => (await kept(page)).outbox.map(({ op }) => op.text)).toEqual(['Written while it was away']);
  // What a proxy says of it is no better.
  front.override('/dashboard', async () => answer(502, 'text/html', '<link rel=icon href=data:,>Bad gateway'));
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1 })).toContainText(`Can't reach Sessile, ${owner.name.split(' ')[0]}`);
  for (const path of ['/dashboard', '/drafts', '/login', '/readyz', '/api/session/sync']) front.override(path, null);
  // It may be on its way there by itself.
  await page.goto('/dashboard').catch(() => {});
  await expectDashboard(page);
  await expect.poll(async () => (await kept(page)).outbox).toEqual([]);
});

test('whom nothing is known of here sees our own page when the service is away', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  await signOutButton(page).click();
  await expectLogin(page);
  front.override('/login', async () => answer(503, 'text/html', '<link rel=icon href=data:,><h1>Just a moment</h1>', { 'x-request-id': 'req_1' }));
  watch.expectStatus(503, '/login');
  await page.goto('/login');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Just a moment');
});

test('signing out online leaves nothing of the person in the browser', async ({ app, server }) => {
  const page = await atHome(app, server);
  await put(page, 'drafts', { account: (await kept(page)).people[0].id, id: 'd1', text: 'a secret plan', version: 1 });
  expect(JSON.stringify(await kept(page))).toContain('a secret plan');
  await signOutButton(page).click();
  await expectLogin(page);
  await expectNothingOf(page);
});

const expectNothingOf = (page) => expectNothing(page, [owner.name, owner.email, 'a secret plan']);

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
  // Not hidden in the page either.
  for (const word of [owner.name, 'a secret plan', 'This device', 'Chromium']) await expect(page.getByRole('main')).not.toContainText(word);
  front.asked.length = 0;
  front.restore();
  await page.goto('/dashboard');
  await expectLogin(page);
  const first = front.asked.find((each) => !each.includes('/static/'));
  expect(first).toBe('POST /api/session/sync');
  expect((await kept(page)).marks.find(({ name }) => name === 'goodbyes')?.value ?? []).toEqual([]);
  // The session has really ended, for whoever still has its cookie.
  expect(await statusOf(server, cookies)).toBe(401);
});

test('a sign-in that comes before the sign-out is carried out is not ended by it', async ({ app, server, front, watch }) => {
  const page = await atHome(app, server);
  const cookies = await app.context.cookies();
  const { sessionId } = (await kept(page)).people[0];
  cut(front, watch);
  await page.goto('/dashboard');
  await signOutOffline(page).click();
  await expect(page.getByRole('heading', { level: 1, name: 'You are signed out here' })).toBeVisible();
  // In the same browser, past the worker.
  const again = await fetch(`http://127.0.0.1:${server.port}/api/establish-session`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ email: owner.email, password: owner.password }) });
  expect(again.status).toBe(200);
  await app.context.addCookies(again.headers.getSetCookie().map((each) => {
    const [name, value] = each.split(';')[0].split('=');
    return { name, value, domain: 'localhost', path: '/', httpOnly: true, sameSite: 'Strict' };
  }));
  const later = await app.context.cookies();
  expect(await owed(page)).toEqual([sessionId]);
  front.asked.length = 0;
  front.restore();
  await page.goto('/dashboard').catch(() => {});
  await expectDashboard(page);
  expect(front.asked.find((each) => !each.includes('/static/') && !['GET /sw.js', 'GET /readyz'].includes(each))).toBe('POST /api/session/sync');
  expect(await owed(page)).toEqual([]);
  expect(await statusOf(server, later)).toBe(200);
  expect(cookies).not.toEqual(later);
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
    await expect(each.locator('body')).not.toContainText(owner.name.split(' ')[0]);
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
  expect(await owed(page)).toEqual([before, after]);
  // The tab that shows the new one is of the same person.
  await expect(tab.getByRole('heading', { level: 1, name: 'You are signed out here' })).toBeVisible();
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
  // It may be on its way to the login by itself.
  await page.goto('/dashboard').catch(() => {});
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
  for (let n = 0; n < 20; n += 1) for (const path of ['/api/session/sync', '/readyz']) watch.expectStatus(503, path);
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1, name: 'You are signed out here' })).toBeVisible();
  // That is the service, not the network.
  await expect(state(page)).toHaveText("Can't reach Sessile");
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
  await expect(page.locator('body')).not.toContainText(owner.name.split(' ')[0]);
  await expect(page.locator('body')).not.toContainText('not signed out');
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
  await expect(page.getByRole('heading', { level: 1 })).toContainText(other.name.split(' ')[0]);
  await expect(page.locator('body')).not.toContainText(owner.name.split(' ')[0]);
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
  await expect(page.getByRole('heading', { level: 1 })).toContainText(owner.name.split(' ')[0]);
  expect(await page.locator(`link[href="${path}"]`).count()).toBe(1);
});

test('a module that another build changed is the new one after the reload, and not before', async ({ app, server, front }) => {
  const page = await atHome(app, server);
  const { old, path } = await front.next(null, { changed: 'module' });
  await page.evaluate(() => navigator.serviceWorker.getRegistration().then((known) => known.update()));
  await expect(page.getByText('A new version is ready.')).toBeVisible();
  const text = (address) => page.evaluate((from) => fetch(from).then((one) => one.text()), address);
  expect(await text(old)).not.toContain('another build');
  await page.getByRole('button', { name: 'Use it now' }).click();
  await expect.poll(() => page.locator(`script[src="${path}"]`).count()).toBe(1);
  expect(await page.locator(`script[src="${old}"]`).count()).toBe(0);
  expect(await text(path)).toContain('another build');
  // It has run: times are said.
  await expect(page.locator('time [data-words]').first()).not.toBeEmpty();
});

test('the build before is kept for its pages, also when builds come back or were never used', async ({ app, server, front }) => {
  test.slow();
  const page = await atHome(app, server);
  const names = () => page.evaluate(async () => (await caches.keys()).sort()).catch(() => []);
  const update = () => page.evaluate(() => navigator.serviceWorker.getRegistration().then((known) => known.update()));
  const use = async () => {
    await update();
    await expect(page.getByText('A new version is ready.')).toBeVisible();
    await page.getByRole('button', { name: 'Use it now' }).click();
    await expect(page.getByText('A new version is ready.')).toBeHidden();
    await expect.poll(() => page.evaluate(async () => {
      const known = await navigator.serviceWorker.getRegistration();
      return !known.waiting && !known.installing && known.active?.state === 'activated';
    }).catch(() => false)).toBe(true);
  };
  const [first] = await names();
  await front.next(null, { words: 'the second' });
  await use();
  const second = (await names()).find((name) => name !== first);
  front.back();
  await use();
  await expect.poll(names).toEqual([first, second].sort());
  // One that waits, and is never used.
  await front.next(null, { words: 'the third' });
  await update();
  await expect(page.getByText('A new version is ready.')).toBeVisible();
  await page.reload();
  await front.next(null, { words: 'the fourth' });
  await update();
  await expect.poll(async () => (await names()).length).toBe(4);
  await expect.poll(() => page.evaluate(async () => Boolean((await navigator.serviceWorker.getRegistration()).installing))).toBe(false);
  await use();
  await expect.poll(async () => (await names()).length).toBe(2);
  expect(await names()).toContain(first);
  expect(await names()).not.toContain(second);
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
    await expect(page.getByRole('heading', { level: 1 })).toContainText(owner.name.split(' ')[0]);
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

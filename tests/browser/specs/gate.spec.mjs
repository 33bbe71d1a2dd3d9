// Behind a proxy with a sign-in of its own: a cookie opens it, and without that its own page answers everything. The app exists
// there, and that page is never taken for an answer of ours, nor kept.

import { cut, expect, heading, kept, state, test, underWorker } from '../lib/app.mjs';
import { createOwner, expectDashboard, owner, settled } from '../lib/test.mjs';

const field = (page) => page.getByLabel('Your post');

/** Signed in to the proxy and to us, with the app installed. */
async function behindGate(app, server, front) {
  const page = await app.open();
  front.demandCookie();
  await page.goto('/gate');
  await expect(heading(page, 'Welcome to the gate')).toBeVisible();
  await createOwner(page, server);
  await underWorker(page);
  await settled(page);
  return page;
}

/** The proxy's own sign-in is over; ours is not. */
const closeGate = (app) => app.context.clearCookies({ name: 'gate' });

test('the app exists behind a proxy that lets nothing through without its cookie', async ({ app, server, front, watch }) => {
  const page = await behindGate(app, server, front);
  const tools = await app.context.newCDPSession(page);
  const { errors, data } = await tools.send('Page.getAppManifest');
  expect(errors).toEqual([]);
  expect(JSON.parse(data).display).toBe('standalone');
  expect((await tools.send('Page.getInstallabilityErrors')).installabilityErrors).toEqual([]);
  cut(front, watch);
  await page.goto('/dashboard');
  await expect(heading(page, `You are offline, ${owner.name.split(' ')[0]}`)).toBeVisible();
  // Whoever comes back asks with the cookie, too.
  front.restore();
  await expectDashboard(page);
  await expect(state(page)).toHaveAttribute('data-state', 'ok');
});

test('a new version is found and taken into use behind it', async ({ app, server, front }) => {
  const page = await behindGate(app, server, front);
  await front.next();
  await page.evaluate(() => navigator.serviceWorker.getRegistration().then((known) => known.update()));
  await expect(page.getByText('A new version is ready.')).toBeVisible();
});

test('the page of the proxy is shown, and is neither an answer of ours nor kept', async ({ app, server, front, watch }) => {
  const page = await behindGate(app, server, front);
  await page.goto('/drafts');
  await page.locator('[data-new-draft]').click();
  await field(page).fill('Written before');
  await expect(page.locator('#draft-state')).toHaveText('Saved');
  const before = await kept(page);
  await closeGate(app);
  await field(page).fill('Written while the gate was closed');
  await expect(state(page)).toHaveText('Offline, 1 change waiting');
  await expect(page.locator('#draft-state')).toHaveText('Saved on this device. It is sent when you are online.');
  await expect(heading(page, 'Drafts')).toBeVisible();
  // Nothing that is asked for is taken from it; and a page is shown as it came.
  for (const path of ['/api/session', '/static/js/none.js', '/sw.js']) {
    watch.allowStatus(404, [path]);
    await page.evaluate((address) => fetch(address, { redirect: 'manual' }).then(() => {}, () => {}), path);
  }
  await page.goto('/devices');
  await expect(heading(page, 'Sign in to the gate')).toBeVisible();
  const after = await kept(page);
  expect(after.caches).toEqual(before.caches);
  // When that was heard may be a moment later: the change before is told to who made it, too.
  const people = ({ people: all }) => all.map(({ asOf, draftsAsOf, ...known }) => known);
  expect(people(after)).toEqual(people(before));
  expect(JSON.stringify(after)).not.toContain('Sign in to the gate');
  await page.goto('/gate');
  await page.goto('/drafts');
  await expect.poll(async () => (await kept(page)).outbox).toEqual([]);
  expect((await kept(page)).drafts.map(({ text }) => text)).toEqual(['Written while the gate was closed']);
  await expect(state(page)).toHaveAttribute('data-state', 'ok');
});

test('a sign-out that only the proxy has answered is owed', async ({ app, server, front }) => {
  const page = await behindGate(app, server, front);
  await closeGate(app);
  await page.getByRole('banner').getByRole('button', { name: 'Sign out' }).click();
  await expect(heading(page, 'Sign in to the gate')).toBeVisible();
  expect((await kept(page)).marks.find(({ name }) => name === 'goodbyes')?.value.length).toBe(1);
  expect((await kept(page)).people).toEqual([]);
  // When it lets us through, the sign-out comes first.
  await page.goto('/gate');
  await page.goto('/dashboard');
  await page.waitForURL((url) => url.pathname === '/login');
  expect((await kept(page)).marks.find(({ name }) => name === 'goodbyes')?.value ?? []).toEqual([]);
});

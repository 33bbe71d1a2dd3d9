// A walk on the other engine: setting up, signing in, an end that is heard of, signing out. And what only a database on its own can
// show: that it goes away while we stay.

import { createOwner, expect, expectDashboard, expectLogin, settled, signIn, signOutButton, test } from '../lib/test.mjs';

test('a session lasts over a crash, ends elsewhere at once, and stays ended', async ({ page, visitor, server }) => {
  await createOwner(page, server);
  const other = await visitor();
  const open = other.waitForResponse((answer) => new URL(answer.url()).pathname === '/api/events' && answer.ok());
  await signIn(other);
  await open;
  await settled(other);
  const { session } = await (await other.request.get('/api/session')).json();
  const ended = await page.request.delete(`/api/sessions/${session.id}`, { headers: { Origin: server.origin } });
  expect(ended.status()).toBe(204);
  await expectLogin(other);

  await other.goto('about:blank');
  await page.goto('about:blank');
  await server.kill();
  await server.start();
  await page.goto('/dashboard');
  await expectDashboard(page);
  await other.goto('/dashboard');
  await expectLogin(other);

  await signOutButton(page).click();
  await expectLogin(page);
});

test('a database that is away is not a sign-out', async ({ page, server }) => {
  await createOwner(page, server);
  const before = await page.context().cookies();

  await server.unplugDatabase();
  const away = await page.request.get('/dashboard', { maxRedirects: 0 });
  expect(away.status()).toBe(503);
  expect(away.headers()).toHaveProperty('retry-after');
  // The page that says so, or what the app knows.
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  expect(new URL(page.url()).pathname).toBe('/dashboard');
  const names = (cookies) => cookies.map(({ name }) => name).sort();
  expect(names(await page.context().cookies())).toEqual(names(before));

  await server.replugDatabase();
  await expect.poll(async () => (await page.request.get('/dashboard', { maxRedirects: 0 })).status()).toBe(200);
  await page.goto('/dashboard');
  await expectDashboard(page);
});

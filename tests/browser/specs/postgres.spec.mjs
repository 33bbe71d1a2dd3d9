// What only a database on its own can show: that it goes away while we stay.

import { createOwner, expect, expectDashboard, test } from '../lib/test.mjs';

test('a database that is away is not a sign-out', async ({ page, server, watch }) => {
  await createOwner(page, server);
  const before = await page.context().cookies();

  await server.unplugDatabase();
  const away = await page.request.get('/dashboard', { maxRedirects: 0 });
  expect(away.status()).toBe(503);
  expect(away.headers()).toHaveProperty('retry-after');
  // The page that says so, or what the app knows.
  watch.allowStatus(503, ['/dashboard', '/readyz', '/api/session', '/api/devices', '/api/events', '/api/session/sync']);
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

// What only a database on its own can show: that it goes away while we stay.

import { createOwner, expect, expectDashboard, test } from '../lib/test.mjs';

test('a database that is away is not a sign-out', async ({ page, server, watch }) => {
  await createOwner(page, server);
  const before = await page.context().cookies();

  await server.unplugDatabase();
  watch.expectStatus(503, '/dashboard');
  const away = await page.goto('/dashboard');
  expect(away.status()).toBe(503);
  expect(away.headers()).toHaveProperty('retry-after');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  const names = (cookies) => cookies.map(({ name }) => name).sort();
  expect(names(await page.context().cookies())).toEqual(names(before));

  await server.replugDatabase();
  await expect.poll(async () => (await page.request.get('/dashboard', { maxRedirects: 0 })).status()).toBe(200);
  await page.goto('/dashboard');
  await expectDashboard(page);
});

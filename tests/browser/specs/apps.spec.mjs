// The pages for protected apps, and the tiles of the dashboard. Requests through real proxies are in tests/suite/proxies.

import { noteAppUsed } from '../lib/age.mjs';
import { createOwner, expect, expectDashboard, test } from '../lib/test.mjs';

const SHOP = 'https://shop.example.test';

async function addShop(page) {
  await page.goto('/apps');
  await page.getByLabel('Name').fill('Shop');
  await page.getByLabel('Address', { exact: true }).fill(SHOP);
  await page.getByRole('button', { name: 'Add app' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Shop is added' })).toBeVisible();
}

test('an app is added, and its configuration holds the token that is shown once', async ({ page, server }) => {
  await createOwner(page, server);
  await page.getByRole('link', { name: 'Add the first app' }).click();
  await addShop(page);
  const token = await page.locator('#gate-token').textContent();
  await expect(page.locator('#app-id')).toHaveText(/^app_/);
  await page.getByText('Caddy', { exact: true }).click();
  await expect(page.getByRole('region', { name: 'Configuration for Caddy' })).toContainText(token);
  await page.getByRole('link', { name: 'Done' }).click();
  await page.waitForURL((url) => url.pathname.startsWith('/apps/app_'));
  expect(await page.content()).not.toContain(token);
  await expect(page.locator('#app-id')).toHaveText(new URL(page.url()).pathname.split('/').at(-1));
  await page.goto('/dashboard');
  const tile = page.getByRole('link', { name: /Shop/ });
  await expect(tile).toHaveAttribute('href', `${SHOP}/`);
  await expect(tile).toContainText('shop.example.test');
});

test('who may use an app is chosen without a script, and only then asked for', async ({ visitor, server, watch }) => {
  const page = await visitor({ javaScriptEnabled: false });
  await page.goto('/login');
  await createOwner(page, server);
  await page.goto('/apps');
  await expect(page.getByLabel('Groups')).toBeHidden();
  await page.getByLabel('Only some').check();
  await page.getByLabel('Name').fill('Shop');
  await page.getByLabel('Address', { exact: true }).fill(SHOP);
  watch.expectStatus(422, '/apps');
  await page.getByRole('button', { name: 'Add app' }).click();
  await expect(page.getByText('Choose a role, or write a group or a person.')).toBeVisible();
  await expect(page.getByLabel('Owners')).toBeFocused();
  await page.getByLabel('Groups').fill('Till staff');
  await page.getByRole('button', { name: 'Add app' }).click();
  await page.getByRole('link', { name: 'Done' }).click();
  await expect(page.getByLabel('Groups')).toHaveValue('Till staff');
  await expect(page.getByRole('link', { name: 'Look again' })).toBeVisible();
  await page.getByRole('link', { name: 'All apps' }).click();
  await expect(page.getByRole('listitem').filter({ hasText: 'Shop' })).toContainText('Only the group Till staff');
});

test('the set-up page waits for the first request, and says by itself that it works', async ({ page, server }) => {
  await createOwner(page, server);
  await addShop(page);
  await expect(page.getByText('Waiting for the first request')).toBeVisible();
  const id = new URL(await page.getByRole('link', { name: 'Done' }).getAttribute('href'), server.origin).pathname.split('/').at(-1);
  await noteAppUsed(server, id);
  await expect(page.getByText('It works. Last request:')).toBeVisible({ timeout: 15_000 });
  await expect(page.getByRole('heading', { name: 'Keep these safe' })).toBeVisible();
});

test('an app is disabled and enabled after a question', async ({ page, server }) => {
  await createOwner(page, server);
  await addShop(page);
  await page.getByRole('link', { name: 'Done' }).click();
  await expect(page.getByRole('link', { name: 'Open the app' })).toBeVisible();
  await page.getByRole('link', { name: 'Disable…' }).click();
  await page.getByRole('button', { name: 'Disable' }).click();
  await expect(page.getByText('The app is disabled. Nobody can open it.')).toBeVisible();
  await expect(page.getByRole('link', { name: 'Open the app' })).toHaveCount(0);
  await page.goto('/dashboard');
  await expectDashboard(page);
  await expect(page.getByRole('link', { name: /Shop/ })).toHaveCount(0);
});

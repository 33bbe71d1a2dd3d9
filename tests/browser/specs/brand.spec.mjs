// The operator's own name, logo and colour, also where scripts draw the page.

import { AxeBuilder } from '@axe-core/playwright';
import { atHome, expect, test } from '../lib/app.mjs';
import { BRAND } from '../lib/brand.mjs';
import { createOwner } from '../lib/test.mjs';

test.use({ settings: BRAND });

const NAME = BRAND.SESSILE_NAME;

test('the sign-in shows logo, name, contact and privacy page, and is accessible in both schemes', async ({ page }) => {
  await page.goto('/login');
  await expect(page).toHaveTitle(`Sign in · ${NAME}`);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`Sign in to ${NAME}`);
  await expect(page.getByRole('contentinfo')).toContainText('Need help? Priya, 0171 5550199');
  await expect(page.getByRole('link', { name: 'help@surfside.example' })).toHaveAttribute('href', 'mailto:help@surfside.example');
  await expect(page.getByRole('link', { name: '0171 5550199' })).toHaveAttribute('href', 'tel:01715550199');
  await expect(page.getByRole('link', { name: 'Privacy' })).toHaveAttribute('href', BRAND.SESSILE_PRIVACY_URL);
  const width = await page.locator('img.mark').evaluate((image) => image.decode().then(() => image.naturalWidth));
  expect(width, 'the logo is drawn').toBeGreaterThan(0);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  }
});

test('the accent is the colour of buttons', async ({ page }) => {
  await page.goto('/login');
  const colour = () => page.getByRole('button', { name: 'Sign in' }).evaluate((button) => getComputedStyle(button).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  expect(await colour()).toBe('rgb(194, 24, 91)');
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  expect(await colour()).not.toBe('rgb(194, 24, 91)');
});

test('a page that a script draws, and the line about the service, carry the name', async ({ page, server, watch }) => {
  await createOwner(page, server);
  await page.evaluate(() => document.dispatchEvent(new CustomEvent('service-answered', { detail: { status: 503, began: performance.now() } })));
  await expect(page.locator('[data-state=away]')).toHaveText(`Can't reach ${NAME}`);
  expect(watch.problems()).toEqual([]);
});

test('the app can be installed with icons made from the logo', async ({ app, server }) => {
  const page = await atHome(app, server);
  const session = await app.context.newCDPSession(page);
  expect((await session.send('Page.getInstallabilityErrors')).installabilityErrors).toEqual([]);
  const { errors, data } = await session.send('Page.getAppManifest');
  expect(errors).toEqual([]);
  expect(JSON.parse(data)).toMatchObject({ name: NAME, short_name: NAME });
});

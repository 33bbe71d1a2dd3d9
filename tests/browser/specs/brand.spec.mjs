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

test.describe('in the whole browser', () => {
  // The headless shell installs nothing, so it finds no icon wanting.
  test.use({ whole: true });

  test('the app can be installed with icons made from the logo', async ({ app, server }) => {
    const page = await atHome(app, server);
    const session = await app.context.newCDPSession(page);
    expect((await session.send('Page.getInstallabilityErrors')).installabilityErrors).toEqual([]);
    const { errors, data } = await session.send('Page.getAppManifest');
    expect(errors).toEqual([]);
    const manifest = JSON.parse(data);
    expect(manifest).toMatchObject({ name: NAME, short_name: NAME });
    for (const { sizes } of manifest.icons) expect(sizes.split(' ')).toEqual(['192x192', '512x512', 'any']);
    expect(manifest.icons.map(({ purpose }) => purpose)).toEqual(['any', 'maskable']);
    // The icon as the browser draws it for the system: the sail on white.
    const { primaryIcon } = await session.send('Page.getManifestIcons');
    expect(await colourAt(page, primaryIcon, 0.45, 0.45)).toEqual([194, 24, 91]);
    expect(await colourAt(page, primaryIcon, 0.5, 0.05)).toEqual([255, 255, 255]);
  });

  test('an icon that is cut to a circle shows the whole logo', async ({ app, server }) => {
    const page = await atHome(app, server);
    const manifest = await (await page.request.get('/manifest.webmanifest')).json();
    const { src } = manifest.icons.find(({ purpose }) => purpose === 'maskable');
    const drawn = Buffer.from(await (await page.request.get(src)).body()).toString('base64');
    const at = (x, y) => colourAt(page, drawn, x, y, 'image/svg+xml');
    expect(await at(0.45, 0.45)).toEqual([194, 24, 91]);
    for (const [x, y] of [[0.02, 0.02], [0.98, 0.98], [0.5, 0.12], [0.5, 0.9]]) expect(await at(x, y)).toEqual([255, 255, 255]);
  });
});

/** The colour of a picture at a place, given as parts of its width and height. */
function colourAt(page, base64, x, y, type = 'image/png') {
  return page.evaluate(async ([address, x, y]) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    return [...context.getImageData(Math.round(x * canvas.width), Math.round(y * canvas.height), 1, 1).data].slice(0, 3);
  }, [`data:${type};base64,${base64}`, x, y]);
}

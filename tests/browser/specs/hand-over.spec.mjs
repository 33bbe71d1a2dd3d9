// A person hands their sign-in over to their phone with a QR code, and compares a number.

import { desktop, phone } from '../lib/browser.mjs';
import { BRAND } from '../lib/brand.mjs';
import { tabTo } from '../lib/keyboard.mjs';
import { canRead, readQr } from '../lib/qr.mjs';
import { createOwner, expect, expectDashboard, settled, test } from '../lib/test.mjs';

const number = (page) => page.locator('.big-number');

test.skip(!canRead, 'zbarimg is not installed (Debian: zbar-tools)');

/** Shows the code on a signed-in screen, and returns the address that a camera reads from it. */
async function showCode(page, server) {
  await page.setViewportSize(desktop);
  await createOwner(page, server);
  await page.goto('/account');
  await page.getByRole('link', { name: 'Sign in on my phone' }).click();
  await page.getByRole('button', { name: 'Show the code' }).click();
  const link = await readQr(page);
  expect(link.startsWith(`${server.origin}/link/`), link).toBe(true);
  return link;
}

for (const scripts of [true, false]) {
  test(`the phone is signed in once the numbers are the same (scripts of the phone: ${scripts})`, async ({ page, visitor, server, watch }) => {
    const link = await showCode(page, server);
    const own = await visitor({ viewport: phone, isMobile: true, hasTouch: true, javaScriptEnabled: scripts });
    await own.goto(link);
    await expect(own.getByRole('main')).toContainText('You will be signed in as Marlow Keeper.');
    await expect(number(page), 'opening the link changes nothing').toHaveCount(0);
    await own.getByRole('button', { name: 'Go on' }).click();
    const compared = await number(own).textContent();
    await expect(number(page), 'the number appears by itself').toHaveText(compared);
    await expect(page.locator('svg.qr'), 'the code is not shown to others any more').toBeHidden();

    const other = await visitor();
    watch.expectStatus(410, new URL(link).pathname);
    await other.goto(link);
    await expect(other.getByRole('heading', { level: 1 })).toHaveText('This link no longer works');

    await page.getByRole('button', { name: 'Yes, sign it in' }).click();
    await expect(page.getByText('Press “Sign in” on your phone.')).toBeVisible();
    await own.getByRole('button', { name: 'Sign in' }).click();
    await expectDashboard(own);
    await expect(page.getByRole('button', { name: 'Show the code' }), 'the screen is ready for another phone').toBeVisible();
    await page.goto('/devices');
    await expect(page.getByRole('main')).toContainText('Signed in');
  });
}

test('a number that is another ends the hand-over', async ({ page, visitor, server, watch }) => {
  const link = await showCode(page, server);
  const own = await visitor({ viewport: phone });
  await own.goto(link);
  watch.allowStatus(410, [new URL(link).pathname]);
  await own.getByRole('button', { name: 'Go on' }).click();
  await expect(number(page)).toHaveText(await number(own).textContent());
  await page.getByRole('button', { name: 'No', exact: true }).click();
  await expect(page.getByText('The code no longer works.')).toBeVisible();
  await expect(own.getByRole('heading', { level: 1 })).toHaveText('This link no longer works');
});

test('the signed-in screen needs no script and no mouse', async ({ visitor, server }) => {
  const page = await visitor({ javaScriptEnabled: false });
  await createOwner(page, server);
  await page.goto('/account/phone');
  await tabTo(page, page.getByRole('button', { name: 'Show the code' }));
  await page.keyboard.press('Enter');
  await page.locator('svg.qr').waitFor();
  const own = await visitor({ viewport: phone });
  await own.goto(await readQr(page));
  await own.getByRole('button', { name: 'Go on' }).click();
  await tabTo(page, page.getByRole('link', { name: 'Look again' }));
  await page.keyboard.press('Enter');
  await expect(number(page)).toHaveText(await number(own).textContent());
  await tabTo(page, page.getByRole('button', { name: 'Yes, sign it in' }));
  await page.keyboard.press('Enter');
  await own.getByRole('button', { name: 'Sign in' }).click();
  await expectDashboard(own);
});

test.describe('under an operator\'s name', () => {
  test.use({ settings: BRAND });

  test('a code is read in dark colours, and the phone shows name, logo and whom to ask', async ({ visitor, server }) => {
    const page = await visitor({ colorScheme: 'dark' });
    const link = await showCode(page, server);
    const own = await visitor({ viewport: phone, colorScheme: 'dark' });
    await own.goto(link);
    await expect(own).toHaveTitle(`Sign in on this device · ${BRAND.SESSILE_NAME}`);
    await expect(own.locator('img.mark')).toBeVisible();
    await expect(own.getByRole('contentinfo')).toContainText('Need help? Priya');
    await expect(own.locator('body')).not.toContainText('Sessile');
    await settled(page);
  });
});

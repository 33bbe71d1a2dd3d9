// An authenticator app and recovery codes: set up, asked for at a sign-in, required by the operator.

import { desktop, phone } from '../lib/browser.mjs';
import { tabTo } from '../lib/keyboard.mjs';
import { canRead, readQr } from '../lib/qr.mjs';
import { answerOf, createOwner, expect, expectDashboard, expectLogin, fillLogin, owner, signInButton, signOutButton, test } from '../lib/test.mjs';
import { appCode } from '../lib/totp.mjs';

const code = (page) => page.locator('input[name=code]');

/** Sets an app up on its page. Returns the app's key and the recovery codes that the next page shows. */
async function addApp(page) {
  const key = await page.locator('#app-key').textContent();
  await code(page).fill(appCode(key));
  await page.getByRole('button', { name: 'Add the app' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Your recovery codes' })).toBeVisible();
  const recovery = (await page.locator('#recovery-codes').textContent()).trim().split('\n');
  expect(recovery).toHaveLength(10);
  return { key, recovery };
}

/** Gives the password, and comes to the page that asks for a code. */
async function expectAskedForCode(page) {
  await page.goto('/login');
  await fillLogin(page);
  await signInButton(page).click();
  await expect(page.getByRole('heading', { level: 1, name: 'One more step' })).toBeVisible();
}

async function signOut(page) {
  await page.goto('/dashboard');
  await signOutButton(page).click();
  await expectLogin(page);
}

test('an app is set up with its QR code, and asked for at the next sign-in', async ({ page, server, watch }) => {
  test.skip(!canRead, 'zbarimg is not installed (Debian: zbar-tools)');
  await page.setViewportSize(desktop);
  await createOwner(page, server);
  await page.goto('/account');
  await page.getByRole('link', { name: /sign-in security/i }).click();
  await page.getByRole('link', { name: 'Set up an app' }).click();
  const uri = new URL(await readQr(page));
  const key = await page.locator('#app-key').textContent();
  expect([uri.protocol, uri.host, uri.searchParams.get('secret')]).toEqual(['otpauth:', 'totp', key.replaceAll(' ', '')]);

  watch.expectStatus(422, '/account/security/app');
  await code(page).fill('000000');
  await page.getByRole('button', { name: 'Add the app' }).click();
  await expect(page.locator('#code-error')).toContainText('not right');
  await expect(page.locator('#app-key'), 'the key stays the same').toHaveText(key);
  await addApp(page);
  await page.getByRole('link', { name: 'I have kept them' }).click();
  await signOut(page);

  await expectAskedForCode(page);
  watch.expectStatus(401, '/login/second');
  await code(page).fill('000000');
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.locator('#code-error')).toContainText('not right');
  await code(page).fill(appCode(key, 1));
  await page.getByRole('button', { name: 'Continue' }).click();
  await expectDashboard(page);
});

test('everything works on a phone, by forms alone and with the keyboard', async ({ visitor, server, watch }) => {
  const page = await visitor({ viewport: phone, isMobile: true, hasTouch: true, javaScriptEnabled: false });
  await createOwner(page, server);
  await page.goto('/account/security/app');
  const { recovery } = await addApp(page);
  await signOut(page);

  await expectAskedForCode(page);
  await expect(code(page), 'one can type at once').toBeFocused();
  await page.keyboard.type(recovery[3].toLowerCase().replaceAll('-', ' '));
  await page.keyboard.press('Enter');
  await expectDashboard(page);
  await expect(page.getByRole('main')).toContainText(/recovery code/i);

  await signOut(page);
  await expectAskedForCode(page);
  watch.expectStatus(401, '/login/second');
  await code(page).fill(recovery[3]);
  await page.keyboard.press('Enter');
  await expect(page.locator('#code-error')).toContainText('used already');
  await tabTo(page, page.getByRole('link', { name: 'Cancel' }));
  await page.keyboard.press('Enter');
  await expectLogin(page);
});

test('the way to a page is kept over both steps, and going back does no harm', async ({ page, server }) => {
  await createOwner(page, server);
  await page.goto('/account/security/app');
  const { recovery } = await addApp(page);
  await signOut(page);
  await page.goto('/drafts?from=link');
  await fillLogin(page);
  await signInButton(page).click();
  await code(page).fill(recovery[0]);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL(`${server.origin}/drafts?from=link`);
  await page.goBack();
  await page.waitForLoadState();
  await page.goto('/dashboard');
  await expectDashboard(page);
});

test('two tabs that wait for a code are both signed in', async ({ page, server }) => {
  await createOwner(page, server);
  await page.goto('/account/security/app');
  const { recovery } = await addApp(page);
  await signOut(page);
  const tabs = [page, await page.context().newPage()];
  for (const tab of tabs) await expectAskedForCode(tab);
  await code(tabs[1]).fill(recovery[0]);
  await tabs[1].getByRole('button', { name: 'Continue' }).click();
  await expectDashboard(tabs[1]);
  await code(tabs[0]).fill(recovery[1]);
  await tabs[0].getByRole('button', { name: 'Continue' }).click();
  await expectDashboard(tabs[0]);
});

test('a change of the password asks for the second factor again', async ({ page, server, watch }) => {
  await createOwner(page, server);
  await page.goto('/account/security/app');
  const { key } = await addApp(page);
  await page.goto('/account/security/app/remove');
  await expect(page.getByRole('heading', { level: 1, name: 'Confirm it\'s you' })).toBeVisible();
  await page.locator('input[name=password]').fill(owner.password);
  watch.expectStatus(401, '/confirm');
  await code(page).fill('123456');
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.locator('#code-error')).toContainText('not right');
  await page.locator('input[name=password]').fill(owner.password);
  await code(page).fill(appCode(key, 1));
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Remove the authenticator app?' })).toBeVisible();
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Remove the app' }).click());
  await expect(page.getByRole('link', { name: 'Set up an app' })).toBeVisible();
});

test.describe('where the operator requires a second factor', () => {
  test.use({ settings: { SESSILE_SECOND_FACTOR: 'everyone' } });

  for (const scripts of [true, false]) {
    test(`everybody is led through the set-up (scripts: ${scripts})`, async ({ visitor, server }) => {
      const page = await visitor({ javaScriptEnabled: scripts });
      await page.goto('/login');
      await fillLogin(page);
      await signInButton(page).click();
      await expect(page.getByRole('heading', { level: 1, name: 'Sign-in security' })).toBeVisible();
      await page.goto('/drafts');
      await expect(page.getByRole('heading', { level: 1, name: 'Sign-in security' }), 'nothing else is open').toBeVisible();
      await page.getByRole('link', { name: 'Set up an app' }).click();
      await addApp(page);
      await page.getByRole('link', { name: 'I have kept them' }).click();
      await page.goto('/dashboard');
      await expectDashboard(page);
    });
  }
});

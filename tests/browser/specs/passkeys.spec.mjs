// Passkeys in Chromium, with virtual authenticators.

import { AxeBuilder } from '@axe-core/playwright';
import { Authenticator, SECURITY_KEY } from '../lib/authenticator.mjs';
import { desktop, phone } from '../lib/browser.mjs';
import { tabTo } from '../lib/keyboard.mjs';
import { createOwner, email, expect, expectDashboard, fillLogin, owner, password, settled, signInButton, signOutButton, test } from '../lib/test.mjs';

const addButton = (page) => page.getByRole('button', { name: 'Add a passkey' });
const useButton = (page) => page.getByRole('button', { name: 'Use a passkey' });
const message = (page) => page.locator('[data-passkey-message]');

/** Adds a passkey on a page that is signed in, and returns the recovery codes. */
async function addPasskey(page) {
  await page.goto('/account/security');
  await addButton(page).click();
  await expect(page.getByRole('heading', { name: 'Your recovery codes' })).toBeFocused();
  const codes = (await page.locator('pre.codes').textContent()).trim().split('\n');
  expect(codes).toHaveLength(10);
  await page.getByRole('link', { name: 'I have kept them' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'The passkey was added' })).toBeVisible();
  return codes;
}

/** A page that is signed in with a passkey on its authenticator. */
async function withPasskey(page, server, options) {
  const authenticator = await Authenticator.of(page, options);
  await createOwner(page, server);
  const codes = await addPasskey(page);
  return { authenticator, codes };
}

async function signOut(page) {
  await page.goto('/dashboard');
  await signOutButton(page).click();
  await page.waitForURL((url) => url.pathname === '/login');
}

/** Signs out without the field signing in again by itself, as simulated presence does. */
async function leave(page, authenticator) {
  await authenticator.touches(false);
  await signOut(page);
  await expect(useButton(page)).toBeVisible();
}

/** From the next page on, the address field waits for no passkey, so that only the button is answered. */
async function onlyByButton(page) {
  await page.addInitScript(() => {
    PublicKeyCredential.isConditionalMediationAvailable = async () => false;
  });
}

/** Signs in with the button. The address field waits for a passkey too, and simulated presence may let it be first. */
async function signInWithButton(page) {
  const pressed = useButton(page).click().catch(() => {});
  await Promise.race([pressed, page.waitForURL((url) => url.pathname === '/dashboard').catch(() => {})]);
  await expectDashboard(page);
}

for (const [name, viewport] of [['phone', phone], ['desktop', desktop]]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`a passkey is made, used by the button and removed (${name}, ${colorScheme})`, async ({ visitor, server }) => {
      const page = await visitor({ viewport, colorScheme, isMobile: name === 'phone', hasTouch: name === 'phone' });
      const fits = async () => {
        expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 'nothing sticks out').toBeLessThanOrEqual(0);
      };
      const { authenticator } = await withPasskey(page, server);
      await fits();
      await leave(page, authenticator);
      await fits();
      await authenticator.touches(true);
      await signInWithButton(page);
      const session = await page.evaluate(() => fetch('/api/session').then((answer) => answer.json()));
      expect([session.session.amr, session.session.aal]).toEqual([['swk', 'user', 'mfa'], 2]);

      await page.goto('/account/security');
      await page.getByRole('link', { name: /^Change/ }).click();
      await page.getByLabel('Name').fill('My own key');
      await fits();
      await page.getByRole('button', { name: 'Save' }).click();
      await page.getByRole('link', { name: 'Change My own key' }).click();
      await page.getByRole('link', { name: 'Remove…' }).click();
      await expect(page.getByRole('main')).toContainText('your only second factor');
      await fits();
      await page.getByRole('button', { name: 'Remove passkey' }).click();
      await expect(page.getByRole('status').filter({ hasText: 'The passkey was removed' })).toBeVisible();
      await expect(async () => expect(await authenticator.credentials(), 'the browser was told').toEqual([])).toPass();
    });
  }
}

test('the address field signs in by itself with the passkey that is chosen there', async ({ page, server }) => {
  const { authenticator } = await withPasskey(page, server);
  await leave(page, authenticator);
  expect(await email(page).getAttribute('autocomplete')).toBe('username webauthn');
  await authenticator.touches(true);
  await page.goto('/login?next=/devices');
  await page.waitForURL((url) => url.pathname === '/devices');
});

test('the button is reached and pressed with the keyboard', async ({ page, server }) => {
  const { authenticator } = await withPasskey(page, server);
  await leave(page, authenticator);
  await authenticator.touches(true);
  await tabTo(page, useButton(page));
  await page.keyboard.press('Enter');
  await expectDashboard(page);
});

test('after the password a passkey is the second step, and a recovery code works too', async ({ page, server }) => {
  const { authenticator, codes } = await withPasskey(page, server);
  await leave(page, authenticator);
  await fillLogin(page);
  await signInButton(page).click();
  await page.waitForURL((url) => url.pathname === '/login/second');
  await authenticator.touches(true);
  await signInWithButton(page);
  await leave(page, authenticator);
  await fillLogin(page);
  await signInButton(page).click();
  await page.getByLabel('Code').fill(codes[0]);
  await page.getByRole('button', { name: 'Continue' }).click();
  await expectDashboard(page);
});

test('a passkey confirms, and leads on', async ({ page, server }) => {
  await withPasskey(page, server);
  await page.goto('/account/security');
  await page.getByRole('link', { name: 'Add a passkey' }).click();
  await page.waitForURL((url) => url.pathname === '/confirm');
  await useButton(page).click();
  await page.waitForURL((url) => url.pathname === '/account/security');
  await expect(addButton(page)).toBeVisible();
});

test('a second device adds its own passkey, and each signs in', async ({ page, visitor, server }) => {
  const { authenticator, codes } = await withPasskey(page, server);
  const other = await visitor({ viewport: phone });
  const key = await Authenticator.of(other, SECURITY_KEY);
  await other.goto('/login');
  await fillLogin(other);
  await signInButton(other).click();
  await other.getByLabel('Code').fill(codes[1]);
  await other.getByRole('button', { name: 'Continue' }).click();
  await expectDashboard(other);
  await other.goto('/account/security');
  await addButton(other).click();
  await expect(other.getByRole('status').filter({ hasText: 'The passkey was added' })).toBeVisible();
  await expect(other.getByRole('link', { name: /^Change/ })).toHaveCount(2);
  for (const [mine, its] of [[page, authenticator], [other, key]]) {
    await leave(mine, its);
    await its.touches(true);
    await signInWithButton(mine);
  }
});

test('a device that has one already is not asked to make another', async ({ page, server }) => {
  await withPasskey(page, server);
  await page.goto('/confirm?level=2&next=/account/security');
  await useButton(page).click();
  await page.waitForURL((url) => url.pathname === '/account/security');
  await addButton(page).click();
  await expect(message(page)).toHaveText('This device has a passkey for your account already.');
  await expect(addButton(page)).toBeEnabled();
});

test('a passkey that was removed elsewhere says so, and leaves the device', async ({ page, server, watch }) => {
  const { authenticator } = await withPasskey(page, server);
  await page.goto('/confirm?level=2&next=/account/security');
  await useButton(page).click();
  await page.waitForURL((url) => url.pathname === '/account/security');
  const removed = await page.evaluate(async () => {
    const { passkeys } = await (await fetch('/api/second-factor')).json();
    return (await fetch(`/api/passkeys/${passkeys[0].id}`, { method: 'DELETE' })).status;
  });
  expect(removed).toBe(204);
  await onlyByButton(page);
  await leave(page, authenticator);
  await authenticator.touches(true);
  watch.allowStatus(404, ['/api/passkeys/sign-in']);
  await useButton(page).click();
  await expect(message(page)).toHaveText('This passkey was removed here. Use another one, or your password.');
  await expect(async () => expect(await authenticator.credentials()).toEqual([])).toPass();
  await fillLogin(page);
  await signInButton(page).click();
  await expectDashboard(page);
});

test('a wrong fingerprint and a cancelled prompt are told calmly', async ({ page, server }) => {
  const { authenticator } = await withPasskey(page, server);
  await authenticator.verifies(false);
  await leave(page, authenticator);
  await authenticator.touches(true);
  await useButton(page).click();
  await expect(message(page)).toHaveText('No passkey was used. You can try again.');
  await expect(useButton(page)).toBeEnabled();
  await expect(message(page)).not.toHaveClass(/wrong/);
  await authenticator.verifies(true);
  await signInWithButton(page);
});

test('a passkey that may have been copied is refused, and the page says so', async ({ page, server, watch }) => {
  const { authenticator } = await withPasskey(page, server, SECURITY_KEY);
  await leave(page, authenticator);
  await authenticator.touches(true);
  await signInWithButton(page);
  await onlyByButton(page);
  await leave(page, authenticator);
  await authenticator.setCounter(0);
  watch.allowStatus(401, ['/api/passkeys/sign-in']);
  await authenticator.touches(true);
  await useButton(page).click();
  await expect(message(page)).toContainText('a copy of it seems to exist');
});

test('two tabs that wait at the login both sign in', async ({ page, server }) => {
  const { authenticator } = await withPasskey(page, server);
  await leave(page, authenticator);
  const other = await page.context().newPage();
  const copy = await Authenticator.of(other);
  await other.goto('/login');
  await expect(useButton(other)).toBeVisible();
  await authenticator.touches(true);
  await signInWithButton(page);
  // The same passkey in the other tab, with the same counter.
  await copy.copy(authenticator);
  await other.bringToFront();
  await signInWithButton(other);
  await page.goto('/dashboard');
  await expectDashboard(page);
});

test('two tabs that add a passkey at once add one, and the other says what to do', async ({ page, server, watch }) => {
  await Authenticator.of(page);
  await createOwner(page, server);
  await page.goto('/account/security');
  const other = await page.context().newPage();
  await Authenticator.of(other);
  await other.goto('/account/security');
  await addButton(page).click();
  await expect(page.getByRole('heading', { name: 'Your recovery codes' })).toBeFocused();
  watch.allowStatus(403, ['/api/passkeys/options']);
  await other.bringToFront();
  await addButton(other).click();
  await other.waitForURL((url) => url.pathname === '/confirm');
  await expect(useButton(other)).toBeVisible();
});

test('the back button leads to a page whose button works', async ({ page, server }) => {
  const { authenticator } = await withPasskey(page, server);
  await leave(page, authenticator);
  await authenticator.touches(true);
  await signInWithButton(page);
  await leave(page, authenticator);
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  await page.goBack();
  await authenticator.touches(true);
  await signInWithButton(page);
});

test('a device that can is offered to make a passkey, once', async ({ page, visitor, server }) => {
  const offer = (on) => on.getByRole('region', { name: 'Sign in faster next time?' });
  await createOwner(page, server);
  await expect(page.getByRole('heading', { name: 'Where you are signed in' })).toBeVisible();
  await expect(offer(page), 'this device has no authenticator').toBeHidden();
  const own = await visitor();
  await Authenticator.of(own);
  await own.goto('/login');
  await fillLogin(own);
  await signInButton(own).click();
  await expect(offer(own)).toBeVisible();
  expect((await new AxeBuilder({ page: own }).analyze()).violations).toEqual([]);
  await own.getByRole('button', { name: 'Not now' }).click();
  await expect(offer(own)).toBeHidden();
  await own.reload();
  await expectDashboard(own);
  await settled(own);
  await expect(offer(own)).toBeHidden();
});

test('without JavaScript the password works as before, and no button is shown', async ({ visitor }) => {
  const page = await visitor({ javaScriptEnabled: false });
  await page.goto('/login');
  await expect(useButton(page)).toBeHidden();
  await expect(page.getByText('or', { exact: true })).toBeHidden();
  await email(page).fill(owner.email);
  await password(page).fill(owner.password);
  await signInButton(page).click();
  await page.waitForURL((url) => url.pathname === '/dashboard');
  await page.goto('/account/security');
  await expect(page.locator('noscript p')).toBeVisible();
});

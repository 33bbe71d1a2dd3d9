// An owner invites somebody with a link, who opens it on their phone, chooses a password and is in.

import { desktop, phone } from '../lib/browser.mjs';
import { BRAND } from '../lib/brand.mjs';
import { tabTo } from '../lib/keyboard.mjs';
import { canRead, readQr } from '../lib/qr.mjs';
import { answerOf, createOwner, expect, expectDashboard, password, signIn, test } from '../lib/test.mjs';

const MARTA = { email: 'marta@example.test', name: 'Marta Ruiz', password: 'three crabs under a pier' };
const ON_PHONE = { viewport: phone, isMobile: true, hasTouch: true };

const emailField = (page) => page.locator('#email');
const shownLink = (page) => page.locator('#one-time-link').textContent();

/** Invites Marta as the owner, and returns the link. */
async function invite(page, server) {
  await createOwner(page, server);
  await page.goto('/people');
  await page.getByRole('link', { name: 'Invite somebody' }).click();
  await emailField(page).fill(MARTA.email);
  await page.getByLabel('Name', { exact: true }).fill(MARTA.name);
  await page.getByRole('button', { name: 'Make the link' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`${MARTA.name} is invited`);
  return shownLink(page);
}

test('the phone opens the link, chooses a password and is in', async ({ page, visitor, server, watch }) => {
  await page.setViewportSize(desktop);
  const link = await invite(page, server);
  expect(link.startsWith(`${server.origin}/link/`), link).toBe(true);

  const own = await visitor(ON_PHONE);
  await own.goto(link);
  await own.reload();
  await expect(own.getByRole('heading', { level: 1 })).toContainText('Welcome');
  await expect(own.getByLabel('Your name')).toHaveValue(MARTA.name);
  await expect(emailField(own)).toHaveValue(MARTA.email);
  await password(own).fill('too short');
  watch.expectStatus(422, new URL(link).pathname);
  await answerOf(own, 'POST', () => own.getByRole('button', { name: 'Save and sign in' }).click());
  await expect(own.locator('#password-error')).toContainText('12');
  await password(own).fill(MARTA.password);
  await own.getByRole('button', { name: 'Save and sign in' }).click();
  await expectDashboard(own, MARTA);

  const late = await visitor();
  watch.expectStatus(410, new URL(link).pathname);
  await late.goto(link);
  await expect(late.getByRole('heading', { level: 1 })).toHaveText('This link no longer works');
  await late.getByRole('link', { name: 'Go to sign in' }).click();
  await signIn(late, MARTA);
  await page.goto('/people?query=marta');
  await expect(page.getByRole('listitem').filter({ hasText: MARTA.email })).toContainText('2 sign-ins');
});

for (const colorScheme of ['light', 'dark']) {
  test(`a camera reads the link from the screen (${colorScheme})`, async ({ visitor, server }) => {
    test.skip(!canRead, 'zbarimg is not installed (Debian: zbar-tools)');
    const page = await visitor({ viewport: desktop, colorScheme });
    const link = await invite(page, server);
    expect(await readQr(page)).toBe(link);
  });
}

test('an invitation is cancelled, and its link stops working', async ({ page, visitor, server, watch }) => {
  const link = await invite(page, server);
  await page.goto('/people');
  const row = page.locator('#people-list').getByRole('listitem').filter({ hasText: MARTA.email });
  await expect(row).toContainText('Invited');
  await row.getByRole('link', { name: MARTA.name }).click();
  await page.getByRole('link', { name: 'Cancel the invitation…' }).click();
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Cancel the invitation' }).click());
  watch.expectStatus(410, new URL(link).pathname);
  const own = await visitor();
  await own.goto(link);
  await expect(own.getByRole('heading', { level: 1 })).toHaveText('This link no longer works');
});

test('the link is copied, and shown once', async ({ page, server }) => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const link = await invite(page, server);
  await page.getByRole('button', { name: 'Copy' }).click();
  await expect(page.locator('[data-copied]')).toHaveText('Copied');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(link);
  await page.getByRole('link', { name: 'Done' }).click();
  await page.goto('/people/invite');
  await expect(page.getByRole('main')).not.toContainText(link);
});

test('inviting, and using the link, work without JavaScript', async ({ visitor, server }) => {
  const page = await visitor({ javaScriptEnabled: false });
  const link = await invite(page, server);
  await expect(page.getByRole('button', { name: 'Copy' })).toHaveCount(0);
  const own = await visitor({ ...ON_PHONE, javaScriptEnabled: false });
  await own.goto(link);
  await password(own).fill(MARTA.password);
  await own.getByRole('button', { name: 'Save and sign in' }).click();
  await expectDashboard(own, MARTA);
});

test('inviting, and using the link, work with the keyboard alone', async ({ page, visitor, server }) => {
  await createOwner(page, server);
  await page.goto('/people/invite');
  await tabTo(page, emailField(page));
  await page.keyboard.type(MARTA.email);
  await tabTo(page, page.getByLabel('Member', { exact: true }));
  await page.keyboard.press('ArrowDown');
  await expect(page.getByLabel('Admin', { exact: true })).toBeChecked();
  await tabTo(page, page.getByRole('button', { name: 'Make the link' }));
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`${MARTA.email} is invited`);

  const own = await visitor();
  await own.goto(await shownLink(page));
  await tabTo(own, own.getByLabel('Your name'));
  await own.keyboard.press('Control+A');
  await own.keyboard.type(MARTA.name);
  await tabTo(own, password(own));
  await own.keyboard.type(MARTA.password);
  await own.keyboard.press('Enter');
  await expectDashboard(own, MARTA);
  await expect(own.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'People' })).toBeVisible();
});

test('an address that has an account is refused beside its field, and nothing typed is lost', async ({ page, server, watch }) => {
  await createOwner(page, server);
  await page.goto('/people/invite');
  await emailField(page).fill('keeper@example.test');
  await page.getByLabel('Name', { exact: true }).fill(MARTA.name);
  await page.getByLabel('Groups').fill('Night, Till staff');
  watch.expectStatus([409, 422], '/people/invite');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Make the link' }).click());
  await expect(page.locator('#email-error')).toHaveText('There is already an account with this email.');
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue(MARTA.name);
  await expect(page.getByLabel('Groups')).toHaveValue('Night, Till staff');
});

test.describe('under an operator\'s name', () => {
  test.use({ settings: BRAND });

  test('the invited person is welcomed by that name, with the logo and whom to ask', async ({ page, visitor, server }) => {
    const link = await invite(page, server);
    const own = await visitor(ON_PHONE);
    await own.goto(link);
    await expect(own.getByRole('heading', { level: 1 })).toHaveText(`Welcome to ${BRAND.SESSILE_NAME}`);
    await expect(own.locator('img.mark')).toBeVisible();
    await expect(own.getByRole('contentinfo')).toContainText('Need help? Priya');
    await expect(own.locator('body')).not.toContainText('Sessile');
    await password(own).fill(MARTA.password);
    await own.getByRole('button', { name: 'Save and sign in' }).click();
    await expectDashboard(own, MARTA);
    await expect(own.locator('body')).not.toContainText('Sessile');
  });
});

// Two real browsers of one account: one sees, names and ends the other. All of it with scripts and without.

import { letConfirmationsLapse } from '../lib/age.mjs';
import { answerOf, createOwner, expect, expectDashboard, expectLogin, fillLogin, owner, password, settled, signIn, signInButton, test } from '../lib/test.mjs';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0';
const card = (page, name) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name }) });
const openMenu = (row) => row.locator('summary').click();
const streamOpen = (page) => page.waitForResponse((answer) => new URL(answer.url()).pathname === '/api/events' && answer.ok());

const notice = (page) => page.getByRole('region', { name: /^New sign-in/ });

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with scripts' : 'without scripts';

  /** Two browsers that are signed in, the second one as Firefox. */
  const both = async (visitor, server) => {
    const page = await visitor({ javaScriptEnabled });
    await createOwner(page, server);
    const other = await visitor({ javaScriptEnabled, userAgent: FIREFOX });
    const open = javaScriptEnabled ? streamOpen(other) : null;
    await signIn(other);
    await open;
    if (javaScriptEnabled) await settled(other);
    return { page, other };
  };

  /** A page whose session has ended leaves by itself; without scripts, when it is asked for again. */
  const leaves = async (page) => {
    if (!javaScriptEnabled) await page.goto('/dashboard').catch(() => {});
    await expectLogin(page);
  };

  test(`one browser ends the other at once, which is told why (${how})`, async ({ visitor, server }) => {
    const { page, other } = await both(visitor, server);
    await page.goto('/devices');
    await openMenu(card(page, 'Firefox on Linux'));
    await card(page, 'Firefox on Linux').getByRole('button', { name: 'Sign out' }).click();
    await expect(page.getByRole('status')).toHaveText('That device is signed out.');
    await expect(page.getByRole('heading', { name: 'Signed in before' })).toBeVisible();
    await expect(card(page, 'Firefox on Linux')).toContainText('last used');
    await leaves(other);
    await expect(other.getByRole('main')).toContainText('You were signed out from another device (');
    await signIn(other);
  });

  test(`after ten minutes the password is asked for, and what was asked goes on (${how})`, async ({ visitor, server, watch }) => {
    const { page, other } = await both(visitor, server);
    await letConfirmationsLapse(server);
    await page.goto('/devices');
    await page.getByRole('button', { name: 'Sign out everywhere else' }).click();
    await expect(page).toHaveURL(/\/confirm\?/);
    await expect(page.getByRole('main')).toContainText('Firefox on Linux is signed out. This device stays signed in.');
    const open = javaScriptEnabled ? streamOpen(other) : null;
    await other.goto('/dashboard');
    await expectDashboard(other);
    await open;
    await password(page).fill('not the password 1');
    watch.expectStatus(401, '/confirm');
    await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Sign out everywhere else' }).click());
    await password(page).fill(owner.password);
    await page.getByRole('button', { name: 'Sign out everywhere else' }).click();
    await expect(page.getByRole('status')).toHaveText('You are signed out everywhere else.');
    await leaves(other);
  });

  test(`a device is renamed, and a name that cannot be read is refused beside its field (${how})`, async ({ visitor, server, watch }) => {
    const { page, other } = await both(visitor, server);
    await page.goto('/devices');
    const firefox = card(page, 'Firefox on Linux');
    await openMenu(firefox);
    await firefox.getByLabel('New name').fill('​');
    watch.expectStatus(422, '/devices');
    await answerOf(page, 'POST', () => firefox.getByRole('button', { name: 'Save' }).click());
    await expect(firefox.getByLabel('New name')).toBeFocused();
    await expect(firefox).toContainText('Choose a name of 1 to 60 characters');
    await firefox.getByLabel('New name').fill('Workshop');
    await firefox.getByRole('button', { name: 'Save' }).click();
    await expect(card(page, 'Workshop')).toContainText('Firefox on Linux');
    await other.goto('/devices');
    await expect(card(other, 'Workshop')).toContainText('This device');
  });

  test(`a device is removed (${how})`, async ({ visitor, server }) => {
    const { page, other } = await both(visitor, server);
    await page.goto('/devices');
    await openMenu(card(page, 'Firefox on Linux'));
    await card(page, 'Firefox on Linux').getByRole('button', { name: /^Remove device/ }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Remove Firefox on Linux?');
    await page.getByRole('link', { name: 'Cancel' }).click();
    await openMenu(card(page, 'Firefox on Linux'));
    await card(page, 'Firefox on Linux').getByRole('button', { name: /^Remove device/ }).click();
    await page.getByRole('button', { name: 'Remove device' }).click();
    await expect(page.getByRole('status')).toHaveText('That device is signed out and removed.');
    await expect(card(page, 'Firefox on Linux')).toHaveCount(0);
    await leaves(other);
  });

  test(`what was not me ends, and a new password is chosen (${how})`, async ({ visitor, server, watch }) => {
    const { page, other } = await both(visitor, server);
    await letConfirmationsLapse(server);
    await page.goto('/dashboard');
    await expect(notice(page)).toContainText('Firefox on Linux');
    await notice(page).getByRole('button', { name: "Wasn't me" }).click();
    await expect(page.getByRole('main')).toContainText("Firefox on Linux wasn't you?");
    await password(page).fill(owner.password);
    await page.getByRole('button', { name: "It wasn't me" }).click();
    await expect(page).toHaveURL(/\/account\?why=not-me$/);
    await expect(page.getByRole('alert')).toContainText('choose a new one now');
    await page.getByLabel('Current password').and(page.locator('input')).fill(owner.password);
    await password(page).fill('limpets and kelp at noon 3');
    await page.getByRole('button', { name: 'Change password' }).click();
    await expect(page.getByRole('status')).toContainText('Your password was changed');

    await leaves(other);
    watch.expectStatus(401, '/login');
    await fillLogin(other);
    await answerOf(other, 'POST', () => signInButton(other).click());
    await expect(other).toHaveURL(/\/login$/);
  });

  test(`the trail offers the same for a sign-in elsewhere, and pages on (${how})`, async ({ visitor, server }) => {
    const { page, other } = await both(visitor, server);
    await page.goto('/dashboard');
    await page.getByRole('link', { name: 'All activity' }).click();
    await page.getByRole('link', { name: 'Sign-ins' }).click();
    await expect(page.getByRole('navigation', { name: 'Show' }).locator('[aria-current]')).toHaveText('Sign-ins');
    await page.getByRole('listitem').filter({ hasText: 'Firefox on Linux' }).getByRole('button', { name: "Wasn't me" }).click();
    // The password was given a moment ago; it is asked all the same.
    await expect(page.getByRole('heading', { level: 1 })).toHaveText("Firefox on Linux wasn't you?");
    await expect(page.getByRole('button')).toHaveText(["It wasn't me"]);
    await page.getByRole('button', { name: "It wasn't me" }).click();
    await expect(page).toHaveURL(/\/account\?why=not-me$/);
    await leaves(other);
  });

  test(`a new device is asked about until the answer, and does not answer for itself (${how})`, async ({ visitor, server }) => {
    const { page, other } = await both(visitor, server);
    await other.goto('/account');
    await expect(notice(other)).toHaveCount(0);
    for (const address of ['/dashboard', '/devices', '/activity', '/account']) {
      await page.goto(address);
      await expect(notice(page)).toContainText('Was it you?');
    }
    const tab = await page.context().newPage();
    await tab.goto('/dashboard');
    await expect(notice(tab)).toContainText('Was it you?');
    await notice(page).getByRole('button', { name: 'It was me' }).click();
    await expect(page).toHaveURL(/\/account$/);
    await expect(notice(page)).toHaveCount(0);
    if (!javaScriptEnabled) await tab.reload();
    await expect(notice(tab)).toHaveCount(0);
    await other.goto('/dashboard');
    await expectDashboard(other);
  });
}

// The pages for people: search, settings, questions, and a person's own data.

import { phone } from '../lib/browser.mjs';
import { tabTo } from '../lib/keyboard.mjs';
import { addPerson, answerOf, createOwner, expect, fillLogin, sam, signIn, signInButton, test } from '../lib/test.mjs';

const ANN = { email: 'ann@example.test', name: 'Ann Reef', password: 'mussels open at high tide 3' };

test('the list is searched while somebody types, and leads to a person', async ({ page, server }) => {
  await createOwner(page, server);
  await addPerson(server, sam);
  await addPerson(server, ANN, 'admin');
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'People' }).click();
  const list = page.locator('#people-list');
  await expect(list.getByRole('listitem')).toHaveCount(3);
  await page.getByRole('searchbox').pressSequentially('shore');
  await expect(list.getByRole('listitem')).toHaveCount(1);
  await expect(page.locator('[data-found]')).toHaveText('1 found');
  await expect(page).toHaveURL(/query=shore/);
  await expect(page.getByRole('searchbox')).toBeFocused();
  await page.getByRole('searchbox').fill('nobody at all');
  await expect(list).toContainText('Nobody here has “nobody at all”');
  await page.getByRole('searchbox').fill('');
  await expect(list.getByRole('listitem')).toHaveCount(3);
  await list.getByRole('link', { name: 'Sam Shore' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Sam Shore');
});

test('without a script the list is searched by its form, and a person is changed and signed out', async ({ visitor, server }) => {
  const page = await visitor({ javaScriptEnabled: false });
  await page.goto('/login');
  await createOwner(page, server);
  await addPerson(server, sam);
  const own = await visitor();
  await signIn(own, sam);
  await page.goto('/people');
  await page.getByRole('searchbox').fill('sam@');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('link', { name: 'Sam Shore' }).click();
  await page.getByLabel('Groups').fill('Night\nTill staff');
  await page.getByLabel('Admin', { exact: true }).check();
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('status').first()).toContainText('The changes are saved.');
  await expect(page.getByLabel('Groups')).toHaveValue('Night\nTill staff');
  await page.getByRole('link', { name: 'Sign out everywhere…' }).click();
  await page.getByRole('button', { name: 'Sign out everywhere' }).click();
  await expect(page.getByText('The person is signed out everywhere.')).toBeVisible();
  await own.goto('/dashboard');
  await expect(own).toHaveURL(/\/login/);
});

test('a deleted person is gone from the list', async ({ page, server }) => {
  await createOwner(page, server);
  await addPerson(server, sam);
  await page.goto('/people');
  await page.getByRole('link', { name: 'Sam Shore' }).click();
  await page.getByRole('link', { name: 'Delete…' }).click();
  await expect(page.getByRole('heading', { name: 'Delete the account of Sam Shore?' })).toBeVisible();
  await page.getByRole('button', { name: 'Delete account' }).click();
  await expect(page.getByText('The account is deleted')).toBeVisible();
  await expect(page.locator('#people-list')).not.toContainText('Sam Shore');
});

test('a disabled person is out at once and cannot sign in, until the account is enabled', async ({ page, visitor, server, watch }) => {
  await createOwner(page, server);
  const id = await addPerson(server, sam);
  const own = await visitor();
  await signIn(own, sam);
  await page.goto(`/people/${id}`);
  await page.getByRole('link', { name: 'Disable…' }).click();
  await page.getByRole('button', { name: 'Disable account' }).click();
  await expect(page.getByText('The account is disabled: Sam Shore cannot sign in.')).toBeVisible();
  await expect(own, 'the open page leaves by itself').toHaveURL(/\/login/);
  await fillLogin(own, sam);
  watch.expectStatus([401, 403], '/login');
  await answerOf(own, 'POST', () => signInButton(own).click());
  await page.getByRole('link', { name: 'Enable…' }).click();
  await page.getByRole('button', { name: 'Enable account' }).click();
  await expect(page.getByText('Disabling keeps everything')).toBeVisible();
  await signIn(own, sam);
});

test('a person is found, opened and signed out everywhere with the keyboard alone', async ({ page, visitor, server }) => {
  await createOwner(page, server);
  await addPerson(server, sam);
  await signIn(await visitor(), sam);
  await tabTo(page, page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'People' }));
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('People');
  await tabTo(page, page.getByRole('searchbox'));
  await page.keyboard.type('shore');
  await expect(page.locator('#people-list').getByRole('listitem')).toHaveCount(1);
  await tabTo(page, page.getByRole('link', { name: 'Sam Shore' }));
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Sam Shore');
  await tabTo(page, page.getByRole('link', { name: 'Sign out everywhere…' }));
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Sign Sam Shore out everywhere?');
  await tabTo(page, page.getByRole('button', { name: 'Sign out everywhere' }));
  await page.keyboard.press('Enter');
  await expect(page.getByText('The person is signed out everywhere.')).toBeVisible();
});

test('people delete their account, and change their mind by signing in', async ({ page, server }) => {
  await addPerson(server, ANN, 'owner');
  await addPerson(server, sam);
  await signIn(page, sam);
  await page.goto('/account');
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download your data…' }).click();
  await page.getByRole('button', { name: 'Download' }).click();
  expect((await download).suggestedFilename()).toBe('my-data.json');
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.getByRole('link', { name: 'Delete account…' }).click();
  await page.getByRole('button', { name: 'Delete my account' }).click();
  await expect(page.getByText('your account will be deleted in 14 days')).toBeVisible();
  await signIn(page, sam);
  await page.goto('/activity');
  await expect(page.getByText('Signed in again: the account is kept')).toBeVisible();
});

test('without a script people delete their account too, and the list says until when it can be kept', async ({ page, visitor, server }) => {
  await createOwner(page, server);
  await addPerson(server, sam);
  const own = await visitor({ javaScriptEnabled: false, viewport: phone });
  await signIn(own, sam);
  await own.goto('/account');
  await own.getByRole('link', { name: 'Delete account…' }).click();
  await own.getByRole('button', { name: 'Delete my account' }).click();
  await expect(own).toHaveURL(/\/login/);
  await expect(own.getByText('your account will be deleted in 14 days')).toBeVisible();
  await page.goto('/people');
  const row = page.locator('#people-list').getByRole('listitem').filter({ hasText: sam.email });
  await expect(row).toContainText('Leaves');
  await signIn(own, sam);
  await page.reload();
  await expect(row).toHaveCount(1);
  await expect(row).not.toContainText('Leaves');
});

// The pages for people: search, settings, questions, and a person's own data.

import { createOwner, expect, signIn, test } from '../lib/test.mjs';

const SAM = { email: 'sam@example.test', name: 'Sam Shore', password: 'limpets stay where they are 7' };
const ANN = { email: 'ann@example.test', name: 'Ann Reef', password: 'mussels open at high tide 3' };

async function add(server, { email, name, password }, role = 'member') {
  const adding = server.command('user', 'add', '--email', email, '--name', name, '--role', role, '--password-stdin');
  adding.child.stdin.end(password);
  return (await adding).trim();
}

test('the list is searched while somebody types, and leads to a person', async ({ page, server }) => {
  await createOwner(page, server);
  await add(server, SAM);
  await add(server, ANN, 'admin');
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
  await add(server, SAM);
  const own = await visitor();
  await signIn(own, SAM);
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
  await add(server, SAM);
  await page.goto('/people');
  await page.getByRole('link', { name: 'Sam Shore' }).click();
  await page.getByRole('link', { name: 'Delete…' }).click();
  await expect(page.getByRole('heading', { name: 'Delete the account of Sam Shore?' })).toBeVisible();
  await page.getByRole('button', { name: 'Delete account' }).click();
  await expect(page.getByText('The account is deleted')).toBeVisible();
  await expect(page.locator('#people-list')).not.toContainText('Sam Shore');
});

test('people delete their account, and change their mind by signing in', async ({ page, server }) => {
  await add(server, ANN, 'owner');
  await add(server, SAM);
  await signIn(page, SAM);
  await page.goto('/account');
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download your data…' }).click();
  await page.getByRole('button', { name: 'Download' }).click();
  expect((await download).suggestedFilename()).toBe('my-data.json');
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.getByRole('link', { name: 'Delete account…' }).click();
  await page.getByRole('button', { name: 'Delete my account' }).click();
  await expect(page.getByText('your account will be deleted in 14 days')).toBeVisible();
  await signIn(page, SAM);
  await page.goto('/activity');
  await expect(page.getByText('Signed in again: the account is kept')).toBeVisible();
});

import { readFile } from 'node:fs/promises';

import { createOwner, expect, expectDashboard, expectLogin, fillLogin, owner, password, signInButton, signOutButton, test } from '../lib/test.mjs';
import { appCode } from '../lib/totp.mjs';

test.use({ fresh: true });

/** Sets an app up on the page. Returns its key and the recovery codes. */
async function setUp(page) {
  await page.goto('/account/security');
  await page.getByRole('link', { name: 'Set up an app' }).click();
  await page.locator('#app-key').waitFor();
  const key = await page.locator('#app-key').textContent();
  await page.getByLabel('Type the code').fill(appCode(key, -1));
  await page.getByRole('button', { name: 'Add the app' }).click();
  const codes = page.locator('#recovery-codes');
  await codes.waitFor();
  return { key, codes: (await codes.textContent()).trim().split(/\s+/) };
}

/** Signs out, then in with the password, up to the second step. */
async function comeBack(page) {
  await page.goto('/account');
  await signOutButton(page).click();
  await expectLogin(page);
  await fillLogin(page, owner);
  await signInButton(page).click();
  await page.getByRole('heading', { name: 'One more step' }).waitFor();
}

test('codes and recovery codes work by forms alone', async ({ visitor, server, watch }) => {
  const page = await visitor({ javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
  await createOwner(page, server);
  const { key, codes } = await setUp(page);
  expect(codes).toHaveLength(10);
  await expect(page.getByRole('button', { name: 'Save as a file' })).toBeHidden();

  await comeBack(page);
  watch.expectStatus(401, '/login/second');
  await page.getByLabel('Code').fill(appCode(key, -1));
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByRole('main')).toContainText('used already');
  await page.getByLabel('Code').fill(appCode(key));
  await page.getByRole('button', { name: 'Continue' }).click();
  await expectDashboard(page);

  await comeBack(page);
  await page.getByLabel('Code').fill(codes[0].toLowerCase());
  await page.getByRole('button', { name: 'Continue' }).click();
  await expectDashboard(page);
  await expect(page.getByRole('main')).toContainText('A recovery code was used');
  await page.getByRole('button', { name: 'I have seen this' }).click();
  await expectDashboard(page);
  await expect(page.getByRole('main')).not.toContainText('A recovery code was used');

  await page.goto('/account/security');
  await expect(page.getByRole('main')).toContainText('9 codes are left');
});

test('recovery codes are saved as a file and printed without what is pressed', async ({ visitor, server }) => {
  const page = await visitor();
  await createOwner(page, server);
  const { codes } = await setUp(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save as a file' }).click()]);
  expect(download.suggestedFilename()).toBe('recovery-codes.txt');
  const saved = await readFile(await download.path(), 'utf8');
  for (const code of codes) expect(saved).toContain(`${code}\n`);
  expect(saved).toContain(owner.email);
  await page.emulateMedia({ media: 'print' });
  await expect(page.locator('#recovery-codes')).toBeVisible();
  await expect(page.locator('.only-printed')).toBeVisible();
  for (const pressed of ['nav', 'button', '.button']) await expect(page.locator(pressed).and(page.locator(':visible'))).toHaveCount(0);
});

test('a new password asks for the second factor first, and comes back', async ({ visitor, server }) => {
  const page = await visitor();
  await createOwner(page, server);
  const { key } = await setUp(page);
  await page.goto('/account');
  await page.getByRole('link', { name: 'Change password…' }).click();
  await password(page).fill(owner.password);
  await page.getByLabel(/^Code/).fill(appCode(key));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL((url) => url.pathname === '/account');
  await expect(page.getByLabel('Current password').and(page.locator('input'))).toBeVisible();
  await page.goto('/account/email');
  await expect(page.getByLabel('New email address')).toBeVisible();
});

import { chromium } from '@playwright/test';
import { launchOptions } from '../lib/browser.mjs';
import { tabTo } from '../lib/keyboard.mjs';
import {
  answerOf, createOwner, email, expect, expectDashboard, expectLogin, fillLogin, navigations, owner, password, signIn,
  signInButton, signOutButton, test,
} from '../lib/test.mjs';

test.beforeEach(async ({ visitor, server }) => {
  await createOwner(await visitor(), server);
});

test('a wrong password is said beside its field, and the address stays', async ({ page, watch }) => {
  await page.goto('/login');
  await fillLogin(page, { email: owner.email, password: 'not the password 1' });
  watch.expectStatus(401, '/login');
  const answer = await answerOf(page, 'POST', () => signInButton(page).click());

  expect(answer.status()).toBe(401);
  await expect(email(page)).toHaveValue(owner.email);
  await expect(password(page)).toHaveValue('');
  await expect(password(page)).toHaveAttribute('aria-invalid', 'true');
  const message = page.locator(`#${(await password(page).getAttribute('aria-describedby')).split(' ')[0]}`);
  await expect(message).toBeVisible();
  await expect(message).toHaveText(/\w/);
  const [field, words] = [await password(page).boundingBox(), await message.boundingBox()];
  expect(Math.abs(words.y - (field.y + field.height)), 'pixels between the field and its message').toBeLessThan(40);
  expect(await page.content()).not.toContain('not the password 1');
});

test('the right password after a wrong one lands on the dashboard', async ({ page, watch }) => {
  await page.goto('/login');
  await fillLogin(page, { email: owner.email, password: 'not the password 1' });
  watch.expectStatus(401, '/login');
  await answerOf(page, 'POST', () => signInButton(page).click());
  await password(page).fill(owner.password);
  await signInButton(page).click();
  await expectDashboard(page);
});

test('the dashboard greets by name and says in words how long the sign-in lasts', async ({ page }) => {
  await signIn(page);
  await expect(page.getByRole('heading', { level: 1 })).toContainText(owner.name.split(' ')[0]);
  await expect(page.getByText(/You are signed in on this device until \w+ \d/)).toBeVisible();
  await expect(page.getByText(/Each visit keeps you signed in for another 72 hours, until .+ at the latest\./)).toBeVisible();
});

test('signing in goes on to the page that was asked for', async ({ page }) => {
  await page.goto('/dashboard?from=here');
  await expectLogin(page);
  expect(new URL(page.url()).searchParams.get('next')).toBe('/dashboard?from=here');
  await fillLogin(page);
  await signInButton(page).click();
  await expectDashboard(page);
  expect(new URL(page.url()).search).toBe('?from=here');
});

for (const next of [
  'https://elsewhere.example/dashboard',
  '//elsewhere.example/dashboard',
  '/\\elsewhere.example/dashboard',
  '/\t/elsewhere.example/dashboard',
  'http:elsewhere.example',
  'javascript:alert(1)',
]) {
  test(`signing in never goes on to another origin: next=${JSON.stringify(next)}`, async ({ page, server, watch }) => {
    // `http:elsewhere.example` is a path of our own to a browser, and may be followed: to no page.
    watch.expectStatus(404, '/elsewhere.example');
    await page.goto(`/login?next=${encodeURIComponent(next)}`);
    await fillLogin(page);
    await signInButton(page).click();
    await page.waitForURL((url) => url.pathname !== '/login');
    expect(new URL(page.url()).origin).toBe(server.origin);
  });
}

test('the cookie is out of reach of scripts and other sites, and lasts the idle time', async ({ page }) => {
  await signIn(page);
  const cookies = await page.context().cookies();
  const cookie = cookies.find(({ name }) => name === `aiq_session_${new URL(page.url()).port}`);
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/', domain: 'localhost', secure: false });
  const hours = (cookie.expires - Date.now() / 1000) / 3600;
  expect(hours).toBeGreaterThan(71.9);
  expect(hours).toBeLessThan(72.1);
  // Scripts write and read the time zone, and no other.
  const readable = (await page.evaluate(() => document.cookie)).split('; ').map((each) => each.split('=')[0]);
  expect(readable.filter((name) => !name.startsWith('aiq_zone'))).toEqual([]);
});

test('signing out leads to the login, and neither back nor reload shows anything of before', async ({ page }) => {
  await signIn(page);
  const shown = await page.goto('/dashboard?again');
  expect(shown.headers()['cache-control']).toContain('no-store');
  const other = await page.context().newPage();
  await other.goto('/dashboard');

  await signOutButton(page).click();
  await expectLogin(page);
  const names = (await page.context().cookies()).map(({ name }) => name);
  expect(names.filter((name) => name.startsWith('aiq_session'))).toEqual([]);

  await page.goBack();
  await expectLogin(page);
  await expect(page.getByText(owner.name)).toHaveCount(0);
  await other.reload();
  await expectLogin(other);
});

test('going back after signing out shows nothing even where the browser keeps pages in memory', async ({ server, watch }) => {
  const browser = await chromium.launch({ ...launchOptions, ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  try {
    const context = await browser.newContext({ baseURL: server.origin });
    await watch.attach(context);
    const page = await context.newPage();
    await signIn(page);
    await signOutButton(page).click();
    await expectLogin(page);
    await page.evaluate(() => { setTimeout(() => history.back(), 0); });
    await page.waitForTimeout(1_500);
    await expectLogin(page);
    await expect(page.getByText(owner.name)).toHaveCount(0);
  } finally {
    await browser.close();
  }
});

test('the code of an error page is copied by its button', async ({ page, watch }) => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  watch.expectStatus(404, '/nothing-here');
  await page.goto('/nothing-here');
  const code = await page.locator('.help-code code').textContent();
  expect(code).toMatch(/^[2-9A-HJ-NP-Z]{2}-[2-9A-HJ-NP-Z]{4}$/);
  await page.getByRole('button', { name: 'Copy' }).click();
  await expect(page.getByRole('status')).toHaveText('Copied');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(code);
});

test('signing in works with the keyboard alone, and where the focus is can be seen', async ({ page }) => {
  await page.goto('/login');
  await tabTo(page, email(page));
  await page.keyboard.type(owner.email);
  await tabTo(page, password(page));
  await page.keyboard.type(owner.password);
  await page.keyboard.press('Enter');
  await expectDashboard(page);
  await tabTo(page, signOutButton(page));
  await page.keyboard.press('Enter');
  await expectLogin(page);
  await expect(page.getByRole('main')).toContainText('You are signed out.');
});

test('a page opened under another address says so and links to the right one', async ({ page, server, watch }) => {
  const misplaced = `http://127.0.0.1:${server.port}`;
  watch.allowOrigin(misplaced);
  await page.goto(`${misplaced}/login`);
  const link = page.getByRole('link', { name: /localhost/i });
  await expect(link).toBeVisible();
  expect(new URL(await link.getAttribute('href'), misplaced).origin).toBe(server.origin);
  const paths = navigations(page, server);
  await link.click();
  await expectLogin(page);
  expect(paths.length).toBeLessThan(4);
  await expect(page.getByRole('link', { name: /localhost/i })).toHaveCount(0);
});

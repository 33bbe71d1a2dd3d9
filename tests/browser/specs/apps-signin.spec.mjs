// Signing in to protected apps, through the nginx configuration that Sessile prints. Requests through other proxies are in
// tests/suite/proxies.

import { expectLogin, signIn, signOutButton } from '../lib/test.mjs';
import { WITHOUT_NGINX, expect, expectAskedFor, expectAt, fetchPerson, openApp, openAppAgain, owner, pagesOpened, signInFor, test } from '../lib/protected.mjs';

test.skip(...WITHOUT_NGINX);

const ORDER = '/orders/7?sort=by+date&note=50%25%20%26%20more&sort=%C3%A9&empty=';

test('the first visit to an address with a query arrives at that very address', async ({ page, shop, server }) => {
  await page.goto(`${shop.origin}${ORDER}`);
  await page.waitForURL(`${server.origin}/login?**`);
  await signInFor(page, shop);
  await expectAt(page, shop, ORDER);
  expect(shop.requests.map(({ method, address, person }) => ({ method, address, person }))).toEqual([{ method: 'GET', address: ORDER, person: owner.email }]);
  const cookies = await page.context().cookies(shop.origin);
  expect(cookies.map(({ name }) => name).sort()).toEqual(['__Host-sessile_app', '__Host-sessile_pending']);
  for (const cookie of cookies) expect(cookie).toMatchObject({ domain: 'shop.test', path: '/', secure: true, httpOnly: true, sameSite: 'Lax' });
});

test('the tile on the dashboard opens the app', async ({ page, shop }) => {
  await signIn(page);
  await page.getByRole('link', { name: shop.name }).click();
  await expectAt(page, shop, '/');
});

test('a second app opens without a password', async ({ page, shop, blog, server }) => {
  await openApp(page, shop);
  const opened = pagesOpened(page);
  await openAppAgain(page, blog, '/posts?page=2');
  expect(opened.filter((address) => address.startsWith(server.origin) && !address.endsWith(`/apps/${blog.id}/open`))).toEqual([]);
  expect(blog.requests[0].session).toBe(shop.requests[0].session);
});

test('the back button after signing in leads out of the app again', async ({ page, elsewhere, shop }) => {
  const before = await elsewhere('<h1>Before</h1>');
  await page.goto(before);
  await openApp(page, shop, '/orders/7?sort=date');
  // The login page is in the history, and brings a person who is signed in back to the app.
  await page.goBack();
  await expectAt(page, shop, '/orders/7?sort=date');
  await page.goBack();
  await page.waitForURL(`${before}/`);
});

for (const [from, signOut] of [
  ['an app', async (page, tab) => {
    await page.getByRole('link', { name: 'Sign out' }).click();
    await expect(page.getByText('This signs you out of Shop, of Sessile and of every app that you opened in this browser.')).toBeVisible();
    // Opening the page changes nothing.
    expect((await fetchPerson(tab)).status).toBe(200);
    await page.getByRole('button', { name: 'Sign out everywhere in this browser' }).click();
  }],
  ['Sessile', async (page) => {
    await page.goto('/dashboard');
    await signOutButton(page).click();
  }],
]) {
  test(`signing out in ${from} closes both apps at their next request`, async ({ page, shop, blog, watch }) => {
    await openApp(page, shop);
    const tab = await page.context().newPage();
    await openAppAgain(tab, blog, '/posts/3');
    await signOut(page, tab);
    await expectLogin(page);
    await expect(page.getByRole('main')).toContainText('You are signed out.');
    watch.expectStatus(401, '/person.json');
    expect(await fetchPerson(tab)).toEqual({ status: 401, type: 'application/problem+json' });
    await tab.reload();
    await expectAskedFor(tab, blog);
    await page.goto(`${shop.origin}/orders/7`);
    await expectAskedFor(page, shop);
  });
}

test('everything works without JavaScript', async ({ visitor, shop, blog }) => {
  const page = await visitor({ javaScriptEnabled: false });
  await openApp(page, shop, ORDER);
  await openAppAgain(page, blog, '/posts?page=2');
  await openAppAgain(page, shop);
  await page.getByLabel('Order').fill('Two boxes');
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(page.locator('#received')).toHaveText('order=Two+boxes');
  await page.getByRole('link', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign out everywhere in this browser' }).click();
  await expectLogin(page);
  await page.goto(`${blog.origin}/posts?page=2`);
  await signInFor(page, blog);
  await expectAt(page, blog, '/posts?page=2');
});

test("the app's own SameSite=Strict cookies are there on arrival after signing in", async ({ page, shop, blog, server }) => {
  await openApp(page, blog, '/basket');
  await openAppAgain(page, shop);
  await server.command('session', 'revoke', '--all');
  // The link and the login page belong to another site, so the browser sends no such cookie with a request that they cause.
  await page.getByRole('link', { name: 'A post' }).click();
  await signInFor(page, blog);
  await expectAt(page, blog, '/posts/3?from=link');
  await expect(page.locator('#cookies')).toContainText('__Host-basket');
});

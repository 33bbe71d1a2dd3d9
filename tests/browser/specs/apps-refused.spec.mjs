// What people see when a protected app does not open, through the nginx configuration that Sessile prints.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { letSessionsExpire } from '../lib/age.mjs';
import { launchOptions } from '../lib/browser.mjs';
import { answerOf } from '../lib/test.mjs';
import { WITHOUT_NGINX, expect, expectAskedFor, expectAt, fetchPerson, openApp, openAppAgain, owner, pagesOpened, signInFor, test } from '../lib/protected.mjs';

test.skip(...WITHOUT_NGINX);

const member = { email: 'kim@example.test', name: 'Kim Deckhand', password: 'limpets hold even faster 7' };

/** Creates the account of a member. */
async function addMember(server) {
  const adding = server.command('user', 'add', '--email', member.email, '--name', member.name, '--password-stdin');
  adding.child.stdin.end(member.password);
  await adding;
}

const endSessions = (server) => server.command('session', 'revoke', '--all');
const heading = (page, name) => page.getByRole('heading', { level: 1, name });

for (const [what, end] of [['has expired', letSessionsExpire], ['was ended elsewhere', endSessions]]) {
  test(`after a session ${what}, a fetch gets 401 and a page signs in and comes back`, async ({ page, shop, server, watch }) => {
    await openApp(page, shop, '/orders/7?sort=date');
    await end(server);
    watch.expectStatus(401, '/person.json');
    expect(await fetchPerson(page)).toEqual({ status: 401, type: 'application/problem+json' });
    await page.reload();
    await signInFor(page, shop);
    await expectAt(page, shop, '/orders/7?sort=date');
    expect((await fetchPerson(page)).status).toBe(200);
    const [before, , after] = shop.requests.map(({ session }) => session);
    expect(after).not.toBe(before);
  });
}

test('a person who is not admitted is told whom to ask, and can use another account', async ({ page, shop, server, watch }) => {
  await addMember(server);
  await shop.admit('role:owner');
  await page.goto(`${shop.origin}/orders/7?sort=date`);
  watch.expectStatus(403, `/apps/${shop.id}/open`);
  await signInFor(page, shop, member);
  await expect(heading(page, "You don't have access")).toBeVisible();
  await expect(page.getByRole('main')).toContainText(`You are signed in as ${member.name} (${member.email}). This account has no access to Shop. If you need it, ask the administrator.`);
  await page.getByRole('button', { name: 'Use another account' }).click();
  await signInFor(page, shop);
  await expectAt(page, shop, '/orders/7?sort=date');
  expect(shop.requests.map(({ person }) => person)).toEqual([owner.email]);
});

test('a person who is no longer admitted is told so by the app, and can use another account', async ({ page, shop, server, watch }) => {
  await addMember(server);
  await page.goto(`${shop.origin}/orders/7`);
  await signInFor(page, shop, member);
  await expectAt(page, shop, '/orders/7', member);
  await shop.admit('role:owner');
  watch.expectStatus(403, '/orders/7');
  await page.reload();
  await expect(heading(page, "You don't have access")).toBeVisible();
  await expect(page.getByRole('main')).toContainText(`You are signed in as ${member.name} (${member.email}).`);
  await expect(page.getByRole('main')).toContainText('This account has no access to Shop. If you need it, ask the administrator.');
  await expect(page.getByRole('link', { name: 'Go to the start page' })).toHaveAttribute('href', `${server.origin}/dashboard`);
  await page.getByRole('link', { name: 'Use another account' }).click();
  await expect(heading(page, 'Use another account?')).toBeVisible();
  await page.getByRole('button', { name: 'Sign out everywhere in this browser' }).click();
  await signInFor(page, shop);
  await expectAt(page, shop, '/orders/7');
});

test('a form that was sent without a sign-in is not lost', async ({ page, shop, server, watch }) => {
  await openApp(page, shop, '/orders/7');
  await page.getByLabel('Order').fill('Two boxes of limpets');
  await endSessions(server);
  watch.expectStatus(401, '/orders');
  const refused = await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Send' }).click());
  expect(refused.status()).toBe(401);
  await expect(heading(page, 'You are signed out')).toBeVisible();
  await expect(page.getByRole('main')).toContainText('nothing is lost');
  const [tab] = await Promise.all([page.waitForEvent('popup'), page.getByRole('link', { name: 'Sign in' }).click()]);
  await signInFor(tab, shop);
  await expectAt(tab, shop, '/');
  // As the page says: the browser sends the form again.
  await page.reload();
  await expect(page.locator('#request')).toHaveText('POST /orders');
  await expect(page.locator('#received')).toHaveText('order=Two+boxes+of+limpets');
  expect(shop.requests.filter(({ method }) => method === 'POST').length).toBe(1);
});

test("a browser that loses the app's cookie gets an explanation, not a loop", async ({ page, shop, watch }) => {
  await openApp(page, shop);
  const opened = pagesOpened(page);
  await page.route(`${shop.origin}/**`, async (route) => {
    await page.context().clearCookies({ name: '__Host-sessile_app' });
    await route.continue();
  });
  watch.expectStatus(400, '/.sessile/start');
  await page.goto(`${shop.origin}/orders/7`);
  await expect(heading(page, 'Signing in did not work')).toBeVisible();
  await expect(page.getByRole('main')).toContainText('Your browser does not keep the cookie that this site needs');
  expect(opened.filter((address) => address.endsWith('/.sessile/start')).length).toBe(2);
  await page.unrouteAll();
  await page.getByRole('link', { name: 'Try again' }).click();
  await expectAt(page, shop, '/orders/7');
});

for (const [where, pattern, check] of [
  ['of the app', 'https://shop.test,*', async (page, shop, watch) => {
    await expectAskedFor(page, shop);
    watch.expectStatus(410, '/.sessile/done');
    await signInFor(page, shop);
    await expect(heading(page, 'Please sign in once more')).toBeVisible();
    await expect(page.getByRole('main')).toContainText('your browser does not keep cookies. Allow cookies for this site');
  }],
  ['at all', '*', async (page, shop, watch) => {
    watch.expectStatus(422, '/login');
    await signInFor(page, shop);
    await expect(page.getByRole('main')).toContainText('Your browser sent no cookie with this form, and nobody can sign in without one.');
  }],
]) {
  test(`a browser that keeps no cookies ${where} gets an explanation, not a loop`, async ({ place, shop, watch, server }) => {
    const profile = await mkdtemp(join(tmpdir(), 'sessile-no-cookies-'));
    await mkdir(join(profile, 'Default'));
    const cookies = { [pattern]: { setting: 2 } };
    await writeFile(join(profile, 'Default', 'Preferences'), JSON.stringify({ profile: { content_settings: { exceptions: { cookies } } } }));
    const context = await chromium.launchPersistentContext(profile, { ...launchOptions, args: [...launchOptions.args, ...place.arguments], baseURL: server.origin });
    try {
      await watch.attach(context);
      const [page] = context.pages();
      const opened = pagesOpened(page);
      await page.goto(`${shop.origin}/orders/7`);
      await check(page, shop, watch);
      expect(opened.filter((address) => address === `${shop.origin}/.sessile/start`).length).toBe(1);
      expect(shop.requests).toEqual([]);
    } finally {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    }
  });
}

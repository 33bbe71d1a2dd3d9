// `test` with the fixtures of every test: a server of its own and watched browsers. Also the steps that many tests
// share.

import { rm } from 'node:fs/promises';
import { test as base, expect } from '@playwright/test';
import { Server, otherSite } from './server.mjs';
import { Watch } from './watch.mjs';

export { expect };

/** A member, once `addPerson` has added them. */
export const sam = { email: 'sam@example.test', name: 'Sam Shore', password: 'limpets stay where they are 7' };

export const owner = { email: 'keeper@example.test', name: 'Marlow Keeper', password: 'barnacles hold fast 42' };

export const test = base.extend({
  engine: ['sqlite', { option: true }],

  /** Whether the installation has no owner yet. */
  fresh: [false, { option: true }],

  /** More settings of the server, by variable. */
  settings: [{}, { option: true }],

  /** Made once, and copied for each case. */
  template: [async ({}, use) => {
    const folder = await Server.template(owner);
    await use(folder);
    await rm(folder, { recursive: true, force: true });
  }, { scope: 'worker' }],

  server: async ({ engine, fresh, template, settings }, use, info) => {
    const server = await Server.create(engine, null, fresh ? null : template, settings);
    await use(server);
    const ended = await server.destroy();
    if (info.status !== info.expectedStatus) await info.attach('server log', { body: server.log });
    expect(ended, 'how the server ended').toEqual({ code: 0, signal: null });
  },

  watch: async ({ server }, use) => {
    const watch = new Watch();
    watch.allowOrigin(server.origin);
    server.onOutage = () => watch.allowOutage(server.origin);
    await use(watch);
    expect(watch.problems(), 'what the browser complained about').toEqual([]);
  },

  /** `visitor(options)` opens a page in a browser that has never visited the server. */
  visitor: async ({ browser, server, watch }, use) => {
    const contexts = [];
    await use(async (options = {}) => {
      const context = await browser.newContext({ baseURL: server.origin, ...(options.userAgent && without), ...options });
      contexts.push(context);
      await watch.attach(context);
      return context.newPage();
    });
    for (const context of contexts) await context.close();
  },

  page: async ({ visitor }, use) => use(await visitor()),

  /** `elsewhere(html)` returns the address of a page with that body on another site. */
  elsewhere: async ({ watch }, use) => {
    const sites = [];
    await use(async (body) => {
      const site = await otherSite(body);
      sites.push(site);
      watch.allowOrigin(site.origin);
      return site.origin;
    });
    for (const site of sites) await site.close();
  },
});

export const email = (page) => page.getByLabel(/e-?mail/i).and(page.locator('input'));
export const password = (page) => page.getByLabel(/password/i).and(page.locator('input[name=password]'));
export const signInButton = (page) => page.getByRole('main').getByRole('button', { name: 'Sign in' });
export const signOutButton = (page) => page.getByRole('banner').getByRole('button', { name: 'Sign out' });

/** Signs the owner in and opens the dashboard: through the API if there is an owner, else with the one-time link. */
export async function createOwner(page, server) {
  if (server.hasOwner) {
    const sent = { headers: { Origin: server.origin }, data: { email: owner.email, password: owner.password } };
    expect((await page.request.post('/api/establish-session', sent)).status()).toBe(200);
    await page.goto('/dashboard');
    return expectDashboard(page);
  }
  await page.goto(server.setupLink);
  await email(page).fill(owner.email);
  await page.getByLabel(/name/i).and(page.locator('input[name=name]')).fill(owner.name);
  await password(page).fill(owner.password);
  await page.getByRole('button', { name: /create .*account/i }).click();
  await expectDashboard(page);
}

/** Creates an account with the command, and returns its id. */
export async function addPerson(server, { email: address, name, password: chosen }, role = 'member') {
  const adding = server.command('user', 'add', '--email', address, '--name', name, '--role', role, '--password-stdin');
  adding.child.stdin.end(chosen);
  return (await adding).trim();
}

export async function fillLogin(page, who = owner) {
  await email(page).fill(who.email);
  await password(page).fill(who.password);
}

export async function signIn(page, who = owner) {
  await page.goto('/login');
  await fillLogin(page, who);
  await signInButton(page).click();
  await expectDashboard(page, who);
}

/** Calls `act` and returns the response to the navigation with `method` that it causes. */
export async function answerOf(page, method, act) {
  const [answer] = await Promise.all([
    page.waitForResponse((response) => {
      const request = response.request();
      return request.isNavigationRequest() && request.method() === method && request.frame() === page.mainFrame();
    }),
    act(),
  ]);
  return answer;
}

export async function expectDashboard(page, { name = owner.name } = owner) {
  await page.waitForURL((url) => url.pathname === '/dashboard');
  await expect(page.getByRole('heading', { level: 1 })).toContainText(name.split(' ')[0]);
}

export async function expectLogin(page) {
  await page.waitForURL((url) => url.pathname === '/login');
  await expect(signInButton(page)).toBeVisible();
}

/** With another User-Agent, Chromium's client hints would contradict it, so send none. */
const without = { extraHTTPHeaders: { 'Sec-CH-UA': '', 'Sec-CH-UA-Platform': '', 'Sec-CH-UA-Mobile': '' } };

/**
 * Waits until a page has finished the requests that it makes by itself when opened. A request in flight when the
 * session ends elsewhere is rightly answered 401, which the browser reports in its console.
 */
export async function settled(page) {
  const isSettled = () => page.evaluate(async () => {
    const { session } = document.documentElement.dataset;
    if (!(await indexedDB.databases()).some(({ name }) => name === 'sessile')) return false;
    const database = await new Promise((done, failed) => {
      const request = indexedDB.open('sessile');
      request.onsuccess = () => done(request.result);
      request.onerror = () => failed(request.error);
    });
    const people = await new Promise((done) => {
      const request = database.transaction('people').objectStore('people').getAll();
      request.onsuccess = () => done(request.result);
    });
    database.close();
    const { held, pending } = (await navigator.locks?.query()) ?? { held: [], pending: [] };
    const isBusy = [...held, ...pending].some(({ name }) => name === 'sessile-outbox');
    return !isBusy && people.some((one) => one.sessionId === session && one.devicesAsOf && one.draftsAsOf);
  }).catch(() => false);
  await expect.poll(isSettled, { message: 'the page has stored its data and makes no requests' }).toBe(true);
}

/** Collects the paths of our origin that the page's main frame requests from now on, including redirects. */
export function navigations(page, server) {
  const paths = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (request.isNavigationRequest() && request.frame() === page.mainFrame() && url.origin === server.origin) {
      paths.push(url.pathname);
    }
  });
  return paths;
}

const put = (draftId, text, baseVersion) =>
  ({ id: crypto.randomUUID(), kind: 'draft.put', at: new Date().toISOString(), draftId, text, baseVersion });

/** Makes two drafts for the signed-in person, one of them in two versions. */
export async function makeDrafts(page, server) {
  const operations = [
    put('tide', 'Low tide at six: bring boots, a torch and somebody who knows the rocks.\n\nWe meet at the slipway.', 0),
    put('kelp', 'Kelp soup is back on the menu from Friday.', 0),
    put('kelp', 'Kelp soup is back on the menu from Friday, with bread that we bake ourselves.', 1),
    put('kelp', 'Kelp soup is back from Friday. Ask for the small bowl.', 1),
  ];
  const answer = await page.request.post('/api/session/sync', { headers: { Origin: server.origin }, data: { operations } });
  expect(answer.status()).toBe(200);
}

/** Holds every request for `pattern` back until the answer is called. Only where no worker is. */
export async function hold(page, pattern) {
  let release;
  const released = new Promise((done) => { release = done; });
  await page.route(pattern, async (route) => {
    await released;
    await route.continue();
  });
  return release;
}

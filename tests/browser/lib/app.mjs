// `test` for the installed app: a browser with a persistent profile, behind a network that a test can cut.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { launchOptions, shellOptions } from './browser.mjs';
import { Front } from './front.mjs';
import { Server } from './server.mjs';
import { createOwner, expect, settled, test as base } from './test.mjs';

export const test = base.extend({
  /** Whether the test needs the full browser, with windows and background services, instead of the headless shell. */
  whole: [false, { option: true }],

  front: async ({}, use) => {
    const front = await Front.create();
    await use(front);
    await front.close();
  },

  server: async ({ front, fresh, template, settings }, use, info) => {
    const server = await Server.create('sqlite', front.origin, fresh ? null : template, settings);
    front.leadTo(server);
    await use(server);
    await server.destroy();
    if (info.status !== info.expectedStatus) await info.attach('server log', { body: server.log });
  },

  /**
   * `app.open()` starts a browser with a persistent profile and returns a page; `app.reopen()` closes that browser and
   * starts it again.
   */
  app: async ({ server, watch, whole }, use) => {
    const profile = await mkdtemp(join(tmpdir(), 'sessile-app-'));
    const app = {
      async open(options = {}) {
        app.context = await chromium.launchPersistentContext(profile, { ...(whole ? launchOptions : shellOptions), baseURL: server.origin, ...options });
        await watch.attach(app.context);
        return app.context.pages()[0] ?? app.context.newPage();
      },
      async reopen(options) {
        await app.context.close();
        return app.open(options);
      },
    };
    await use(app);
    await app.context?.close();
    await rm(profile, { recursive: true, force: true });
  },
});

export { expect };

const isUnderWorker = (page, timeout) =>
  page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated', null, { timeout });

/**
 * Waits until the worker of this page's build controls it. If the installation failed, the reloaded page tries again.
 */
export async function underWorker(page) {
  await isUnderWorker(page, 12_000).catch(() => page.reload().then(() => isUnderWorker(page, 20_000)));
}

/** Opens the app, creates the owner, and waits until the worker controls the page and the person's data is stored. */
export async function atHome(app, server, options) {
  const page = await app.open(options);
  await createOwner(page, server);
  await underWorker(page);
  await settled(page);
  return page;
}

/** The sign-out button of the offline page. */
export const signOutOffline = (page) => page.getByRole('banner').getByRole('button', { name: 'Sign out' });

export const state = (page) => page.locator('[data-state]');

export const heading = (page, name) => page.getByRole('heading', { level: 1, name });

/** Expects that no store and no cache of the browser contains any of the words. */
export async function expectNothingOf(page, words) {
  await expect.poll(async () => (await kept(page)).people).toEqual([]);
  const text = JSON.stringify(await kept(page));
  for (const word of words) expect(text).not.toContain(word);
}

/** The pending sign-outs: sessions that the browser must still end on the server. */
export const owed = async (page) => (await kept(page)).marks.find(({ name }) => name === 'goodbyes')?.value ?? [];

/** The status with which the server answers `/api/session` for these cookies. */
export const statusOf = async (server, cookies) => {
  const Cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  return (await fetch(`http://127.0.0.1:${server.port}/api/session`, { headers: { Cookie } })).status;
};

/** An answer for `Front.override`, made without the server. */
export const answer = (status, type, body = '', headers = {}) => ({ status, headers: { 'content-type': type, ...headers }, body: Buffer.from(body) });

/** A page that is not Sessile's: of a proxy, or of a network with its own sign-in. */
export const portal = (words) => answer(200, 'text/html', `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Hotel</title><h1>${words}</h1>`);

/** Everything that this origin stores: the rows of all stores, and the text of every cache entry. */
export const kept = (page) =>
  page.evaluate(async () => {
    const found = { caches: {} };
    for (const { name, version } of await indexedDB.databases()) {
      const database = await new Promise((done, failed) => {
        const request = indexedDB.open(name, version);
        request.onsuccess = () => done(request.result);
        request.onerror = () => failed(request.error);
      });
      for (const store of database.objectStoreNames) {
        found[store] = await new Promise((done) => {
          const request = database.transaction(store).objectStore(store).getAll();
          request.onsuccess = () => done(request.result);
        });
      }
      database.close();
    }
    for (const name of await caches.keys()) {
      const cache = await caches.open(name);
      for (const request of await cache.keys()) {
        const path = new URL(request.url).pathname;
        found.caches[name] ??= {};
        found.caches[name][path] = await (await cache.match(request)).text();
      }
    }
    found.storage = [{ ...localStorage }, { ...sessionStorage }];
    return found;
  });

/** Puts a row into a store and announces the change, as the pages do. */
export const put = (page, store, row) =>
  page.evaluate(async ([name, value]) => {
    const database = await new Promise((done) => {
      const request = indexedDB.open('sessile');
      request.onsuccess = () => done(request.result);
    });
    await new Promise((done, failed) => {
      const transaction = database.transaction(name, 'readwrite');
      transaction.objectStore(name).put(value);
      transaction.oncomplete = done;
      transaction.onabort = () => failed(transaction.error);
    });
    database.close();
    const changes = new BroadcastChannel('sessile-store');
    changes.postMessage({ stores: [name] });
    changes.close();
  }, [store, row]);

/** Cuts the network, and allows the requests that fail because of that. */
export function cut(front, watch) {
  watch.allowOutage(front.origin);
  front.cut();
}

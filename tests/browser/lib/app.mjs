// `test` for the installed app: a browser with a profile that it keeps, before a network that can be taken away.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { launchOptions, shellOptions } from './browser.mjs';
import { Front } from './front.mjs';
import { Server } from './server.mjs';
import { createOwner, expect, settled, test as base } from './test.mjs';

export const test = base.extend({
  /** Whether the browser has to have its windows and all that it does by itself. */
  whole: [false, { option: true }],

  front: async ({}, use) => {
    const front = await Front.create();
    await use(front);
    await front.close();
  },

  server: async ({ front, fresh, template }, use, info) => {
    const server = await Server.create('sqlite', front.origin, fresh ? null : template);
    front.leadTo(server);
    await use(server);
    await server.destroy();
    if (info.status !== info.expectedStatus) await info.attach('server log', { body: server.log });
  },

  /** `app.open()`: a page of a browser that keeps its profile; `app.reopen()`: the same browser, closed and started again. */
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

/** Until the worker of this page's build is in charge of it. What kept it from being installed the next page tries again. */
export async function underWorker(page) {
  await isUnderWorker(page, 12_000).catch(() => page.reload().then(() => isUnderWorker(page, 20_000)));
}


/** Signed in, known and under the worker. */
export async function atHome(app, server, options) {
  const page = await app.open(options);
  await createOwner(page, server);
  await underWorker(page);
  await settled(page);
  return page;
}

/** Pressed on the page without a network. */
export const signOutOffline = (page) => page.getByRole('banner').getByRole('button', { name: 'Sign out' });

export const state = (page) => page.locator('[data-state]');

export const heading = (page, name) => page.getByRole('heading', { level: 1, name });

/** That nothing in the browser's stores and caches holds any of the words. */
export async function expectNothingOf(page, words) {
  await expect.poll(async () => (await kept(page)).people).toEqual([]);
  const text = JSON.stringify(await kept(page));
  for (const word of words) expect(text).not.toContain(word);
}

/** Sessions that are still to be ended. */
export const owed = async (page) => (await kept(page)).marks.find(({ name }) => name === 'goodbyes')?.value ?? [];

/** What the server says of the session of whoever has these cookies. */
export const statusOf = async (server, cookies) => {
  const Cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  return (await fetch(`http://127.0.0.1:${server.port}/api/session`, { headers: { Cookie } })).status;
};

/** An answer that a front gives by itself. */
export const answer = (status, type, body = '', headers = {}) => ({ status, headers: { 'content-type': type, ...headers }, body: Buffer.from(body) });

/** A page of somebody else: of a proxy, or of a network that wants a sign-in of its own. */
export const portal = (words) => answer(200, 'text/html', `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Hotel</title><h1>${words}</h1>`);

/** All that this origin keeps: the stores' rows, and the text of everything in its caches. */
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

/** Puts rows into a store, as the pages would. */
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

/** The network goes, and comes back: requests that fail then are meant to. */
export function cut(front, watch) {
  for (const path of ['/manifest.webmanifest', '/api/events', '/api/session', '/api/devices', '/readyz', '/api/session/sync', '/sw.js', '/logout', '/dashboard', '/login', '/devices']) {
    watch.allowFailures(path);
  }
  front.cut();
}

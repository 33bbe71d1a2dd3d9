// `test` for the installed app: a browser with a profile that it keeps, before a network that can be taken away.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { launchOptions } from './browser.mjs';
import { Front } from './front.mjs';
import { Server } from './server.mjs';
import { expect, test as base } from './test.mjs';

export const test = base.extend({
  front: async ({}, use) => {
    const front = await Front.create();
    await use(front);
    await front.close();
  },

  server: async ({ front }, use, info) => {
    const server = await Server.create('sqlite', front.origin);
    front.leadTo(server);
    await use(server);
    await server.destroy();
    if (info.status !== info.expectedStatus) await info.attach('server log', { body: server.log });
  },

  /** `app.open()`: a page of a browser that keeps its profile; `app.reopen()`: the same browser, closed and started again. */
  app: async ({ server, watch }, use) => {
    const profile = await mkdtemp(join(tmpdir(), 'sessile-app-'));
    const app = {
      async open(options = {}) {
        app.context = await chromium.launchPersistentContext(profile, { ...launchOptions, baseURL: server.origin, ...options });
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

/** Until the worker of this page's build is in charge of it. */
export const underWorker = (page) => page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');

/** Until what is known of the person has been put away. */
export const remembered = (page) =>
  expect.poll(async () => Boolean((await kept(page)).people[0]?.devicesAsOf), { message: 'what is known is kept' }).toBe(true);

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
  for (const path of ['/api/events', '/api/session', '/api/devices', '/readyz', '/api/session/sync', '/sw.js', '/logout', '/dashboard', '/login']) {
    watch.allowFailures(path);
  }
  front.cut();
}

// `test` for protected apps. Sessile is at https://id.shop.test; the apps are at https://shop.test, which is the same
// site as Sessile, and at https://blog.test, which is another site. A real nginx is in front of all three, with the
// configurations that Sessile prints.

import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { certify } from './authority.mjs';
import { shellOptions } from './browser.mjs';
import { Nginx, PORTS, isInstalled } from './nginx.mjs';
import { Server } from './server.mjs';
import { expect, fillLogin, owner, signInButton, test as base } from './test.mjs';

export { expect, owner };

export const WITHOUT_NGINX = [!isInstalled, 'nginx is not installed; scripts/tools installs it'];

const SESSILE = 'id.shop.test';
const HOSTS = [SESSILE, 'shop.test', 'blog.test'];

export const test = base.extend({
  /** The certificates, and a loopback address that no other worker uses, so that the ports are always free. */
  place: [async ({}, use) => {
    const certificates = await mkdtemp(join(tmpdir(), 'sessile-certificates-'));
    const trust = await certify(certificates, HOSTS);
    const address = ownAddress();
    const names = HOSTS.map((host) => `MAP ${host} ${address}:${PORTS.https}`);
    await use({ certificates, address, arguments: [trust, `--host-resolver-rules=${names.join(', ')}`] });
    await rm(certificates, { recursive: true, force: true });
  }, { scope: 'worker' }],

  browser: [async ({ place }, use) => {
    const browser = await chromium.launch({ ...shellOptions, args: [...shellOptions.args, ...place.arguments] });
    await use(browser);
    await browser.close();
  }, { scope: 'worker' }],

  server: async ({ template }, use, info) => {
    const server = await Server.create('sqlite', `https://${SESSILE}`, template, { SESSILE_TRUSTED_PROXIES: '127.0.0.1/32' });
    await use(server);
    const ended = await server.destroy();
    if (info.status !== info.expectedStatus) await info.attach('server log', { body: server.log });
    expect(ended, 'how the server ended').toEqual({ code: 0, signal: null });
  },

  apps: async ({ server, place, watch }, use, info) => {
    const shop = await App.create('Shop', 'https://shop.test', server);
    const blog = await App.create('Blog', 'https://blog.test', server);
    const nginx = await Nginx.start([await sessileSite(server), shop.site, blog.site].join('\n'), place.address, place.certificates);
    for (const { origin } of [shop, blog]) watch.allowOrigin(origin);
    await use({ shop, blog });
    await nginx.stop();
    for (const app of [shop, blog]) await app.close();
    if (info.status !== info.expectedStatus) await info.attach('nginx log', { body: nginx.log });
  },

  /** Closes the visitors' browsers before nginx, which they may still be asking. */
  visitor: async ({ apps: _, visitor }, use) => use(visitor),

  shop: async ({ apps }, use) => use(apps.shop),
  blog: async ({ apps }, use) => use(apps.blog),
});

/** A loopback address made from the process id. */
function ownAddress() {
  const { pid } = process;
  return `127.${64 + ((pid >> 16) & 63)}.${(pid >> 8) & 255}.${pid & 255}`;
}

/** The configuration for Sessile's own host. */
async function sessileSite(server) {
  const example = await readFile(new URL('../../../ops/nginx.conf', import.meta.url), 'utf8');
  return example.replaceAll('id.example.com', SESSILE).replaceAll('127.0.0.1:8080', `127.0.0.1:${server.port}`);
}

/** A small registered app. Its pages show what the app knows about the request and the person. */
export class App {
  /** The requests that reached the app. */
  requests = [];

  static async create(name, origin, server) {
    const app = Object.assign(new App(), { name, origin, server });
    app.http = createServer((req, res) => app.#answer(req, res));
    app.http.listen(0, '127.0.0.1');
    await once(app.http, 'listening');
    const registered = await server.command('app', 'add', '--name', name, '--url', origin);
    app.id = /^id: (.+)$/m.exec(registered)[1];
    const upstream = `127.0.0.1:${app.http.address().port}`;
    const printing = server.command('app', 'snippet', app.id, '--proxy', 'nginx', '--upstream', upstream, '--gate-token-stdin');
    printing.child.stdin.end(/^gateToken: (.+)$/m.exec(registered)[1]);
    app.site = await printing;
    return app;
  }

  /** Admits only those whom `rule` names. */
  admit(rule) {
    return this.server.command('app', 'set', this.id, '--admit', rule);
  }

  async close() {
    this.http.closeAllConnections();
    await new Promise((done) => { this.http.close(done); });
  }

  async #answer(req, res) {
    const body = Buffer.concat(await req.toArray()).toString();
    const person = decodeURIComponent(req.headers['x-sessile-email'] ?? '');
    const cookies = (req.headers.cookie ?? '').split('; ').map((pair) => pair.split('=')[0]).sort();
    const request = { method: req.method, address: req.url, person, session: req.headers['x-sessile-session'], cookies, body };
    this.requests.push(request);
    if (req.url === '/person.json') return res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ person }));
    const headers = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-cache', 'content-security-policy': POLICY };
    if (req.url === '/basket') headers['set-cookie'] = '__Host-basket=full; Path=/; Secure; HttpOnly; SameSite=Strict';
    return res.writeHead(200, headers).end(this.#page(request));
  }

  #page({ method, address, person, cookies, body }) {
    return `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
      <title>${this.name}</title><h1>${this.name}</h1>
      <dl><dt>Request<dd id="request">${escaped(`${method} ${address}`)}<dt>Person<dd id="person">${escaped(person)}
      <dt>Cookies<dd id="cookies">${escaped(cookies.join(' '))}<dt>Received<dd id="received">${escaped(body)}</dl>
      <form method="post" action="/orders"><label>Order <input name="order"></label> <button>Send</button></form>
      <p><a href="/.sessile/sign-out">Sign out</a> <a href="https://blog.test/posts/3?from=link">A post</a></p>`;
  }
}

/** As strict as an app's own policy is likely to be. */
const POLICY = "default-src 'none'; connect-src 'self'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** Expects the login page that says to which app the person goes on. */
export async function expectAskedFor(page, app) {
  await expect(page.getByRole('heading', { level: 1, name: `Sign in to go on to ${app.name}` })).toBeVisible();
}

/** Signs in on the login page that an app has led to. */
export async function signInFor(page, app, who = owner) {
  await expectAskedFor(page, app);
  await fillLogin(page, who);
  await signInButton(page).click();
}

/** Expects the app's own page at this path and query, for this person. */
export async function expectAt(page, app, address, who = owner) {
  await page.waitForURL(`${app.origin}${address}`);
  await expect(page.getByRole('heading', { level: 1, name: app.name })).toBeVisible();
  await expect(page.locator('#request')).toHaveText(`GET ${address.split('#')[0]}`);
  await expect(page.locator('#person')).toHaveText(who.email);
}

/** Opens an app in a browser that is not signed in, and signs in. */
export async function openApp(page, app, address = '/') {
  await page.goto(`${app.origin}${address}`);
  await signInFor(page, app);
  await expectAt(page, app, address);
}

/** Opens an app in a browser that is signed in, and expects no question. */
export async function openAppAgain(page, app, address = '/') {
  await page.goto(`${app.origin}${address}`);
  await expectAt(page, app, address);
}

/** Collects the addresses, without queries, of the pages that the main frame opens from now on. */
export function pagesOpened(page) {
  const opened = [];
  page.on('request', (request) => {
    if (!request.isNavigationRequest() || request.frame() !== page.mainFrame()) return;
    const { origin, pathname } = new URL(request.url());
    opened.push(`${origin}${pathname}`);
  });
  return opened;
}

/** Fetches the app's data in its page, and returns the status and the type of the answer. */
export const fetchPerson = (page) =>
  page.evaluate(async () => {
    const answer = await fetch('/person.json');
    return { status: answer.status, type: answer.headers.get('content-type') };
  });

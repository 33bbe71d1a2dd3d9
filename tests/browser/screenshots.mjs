// Pictures of every page as a new installation shows them: npm run screenshots -- FOLDER [--brand]
//
// With --brand, under the name, logo and colour of an operator.
//
// PNGs are named PAGE-WIDTHxHEIGHT-SCHEME.png; `dashboard-…-full` shows the whole page. The page for an absent database
// needs PostgreSQL (SESSILE_TEST_POSTGRES) and is left out without it.

import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { chromium } from '@playwright/test';
import { desktop, launchOptions, phone } from './lib/browser.mjs';
import { canRead, readQr } from './lib/qr.mjs';
import { Server } from './lib/server.mjs';
import { BRAND } from './lib/brand.mjs';
import { Mails, isInstalled as canMail, linkIn } from './lib/mail.mjs';
import { addPerson, createOwner, fillLogin, makeDrafts, owner, sam, signIn, signInButton, signOutButton } from './lib/test.mjs';

const CLIENTS = {
  windows: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.0.0 Safari/537.36',
  iphone: 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.4 Mobile/15E148 Safari/604.1',
  firefox: 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',
};

if (!process.argv[2]) {
  console.error('usage: npm run screenshots -- FOLDER');
  process.exit(2);
}
// npm changes into this package's folder; a relative FOLDER is meant from where npm was called.
const folder = resolve(process.env.INIT_CWD ?? '.', process.argv[2]);
await mkdir(folder, { recursive: true });

const server = await Server.create(process.env.SESSILE_TEST_POSTGRES ? 'postgres' : 'sqlite', null, null, process.argv.includes('--brand') ? BRAND : {});
const browser = await chromium.launch(launchOptions);
try {
  await walk();
} finally {
  await browser.close();
  await server.destroy();
}

async function walk() {
  const page = await visitor(CLIENTS.windows);
  await page.goto(server.setupLink);
  await shoot(page, 'setup');
  await createOwner(page, server);
  await shoot(page, 'dashboard-new');
  await page.goto('/devices');
  await shoot(page, 'devices-new');
  await page.goto('/activity');
  await shoot(page, 'activity-new');

  await apps(page);
  await people(page);
  await links(page);
  await handOver(page);
  if (canMail) await mailed();
  await makeHistory();
  await page.goto('/dashboard');
  await shoot(page, 'dashboard');
  await shoot(page, 'dashboard-full', { fullPage: true });
  await page.goto('/devices');
  await shoot(page, 'devices');
  await shoot(page, 'devices-full', { fullPage: true });
  await page.locator('.menu > summary').first().click();
  await shoot(page, 'devices-rename');
  await page.goto('/drafts');
  await shoot(page, 'drafts-none');
  await makeDrafts(page, server);
  await page.goto('/drafts');
  await page.locator('#draft-list li').nth(2).waitFor();
  await shoot(page, 'drafts');
  await page.goto('/drafts?draft=tide');
  await page.locator('#draft-count').getByText(/^\d+ of/).waitFor();
  await shoot(page, 'drafts-open');
  await page.goto('/drafts?draft=kelp');
  await page.locator('.version').nth(1).waitFor();
  await shoot(page, 'drafts-two');
  await page.goto('/drafts?draft=new');
  await page.getByLabel('Your post').fill('A post. '.repeat(1_300));
  await page.getByText('too long to be saved').waitFor();
  await shoot(page, 'drafts-long');
  await page.goto('/activity');
  await shoot(page, 'activity');
  await shoot(page, 'activity-full', { fullPage: true });
  await page.goto('/activity?show=wrong-passwords');
  await shoot(page, 'activity-filtered');
  await page.goto('/confirm?then=others&next=/devices');
  await shoot(page, 'confirm-ending');
  await page.goto('/account?why=not-me');
  await shoot(page, 'account-not-me', { fullPage: true });
  await page.goto('/account?done=password-everywhere');
  await shoot(page, 'account', { fullPage: true });
  await page.getByLabel('Current password').and(page.locator('input')).fill('not the password 1');
  await page.locator('input[name=password]').fill('password1234');
  await page.getByRole('button', { name: 'Change password' }).click();
  await page.locator('[aria-invalid=true]').waitFor();
  await shoot(page, 'account-error', { fullPage: true });
  await page.goto('/confirm?next=/account');
  await shoot(page, 'confirm');
  await page.goto('/no-such-page');
  await shoot(page, '404');

  const guest = await visitor(CLIENTS.windows);
  await guest.goto('/login');
  await shoot(guest, 'login');
  await fillLogin(guest, { email: owner.email, password: 'not the password 1' });
  await signInButton(guest).click();
  await guest.locator('[aria-invalid=true]').waitFor();
  await shoot(guest, 'login-error');
  for (let n = 0; n < 12; n += 1) {
    await fillLogin(guest, { email: owner.email, password: 'not the password 1' });
    await signInButton(guest).click();
    await guest.waitForLoadState();
  }
  await shoot(guest, 'login-wait');
  await guest.goto('/signup');
  await shoot(guest, 'signup');
  await guest.goto(server.setupLink);
  await shoot(guest, 'setup-used');
  await guest.goto(`http://127.0.0.1:${server.port}/login`);
  await shoot(guest, 'login-other-address');
  await bounce();

  if (server.database) {
    await server.unplugDatabase();
    await page.goto('/dashboard');
    await shoot(page, '503');
    await server.replugDatabase();
  }
}

/** Four apps, and the pages on which they are managed. */
async function apps(page) {
  await page.goto('/apps');
  await shoot(page, 'apps-none', { fullPage: true });
  for (const [name, host] of [['Shop admin', 'shop'], ['Roster', 'roster'], ['Post planner', 'posts'], ['Files', 'files']]) {
    await page.goto('/apps');
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Address', { exact: true }).fill(`https://${host}.example.test`);
    await page.getByRole('button', { name: 'Add app' }).click();
    await page.getByRole('heading', { name: `${name} is added` }).waitFor();
  }
  await page.getByText('Caddy', { exact: true }).click();
  await shoot(page, 'app-added', { fullPage: true });
  await page.getByRole('link', { name: 'Done' }).click();
  await page.waitForURL((url) => url.pathname.startsWith('/apps/app_'));
  await shoot(page, 'app', { fullPage: true });
  await page.getByRole('link', { name: 'Remove…' }).click();
  await page.getByRole('button', { name: 'Remove app' }).waitFor();
  await shoot(page, 'app-remove');
  await page.goto('/apps');
  await page.getByLabel('Name').fill('Till');
  await page.getByLabel('Address', { exact: true }).fill('till');
  await page.getByLabel('Only some').check();
  await page.getByText('More settings').click();
  await page.getByLabel('Members').check();
  await page.getByRole('button', { name: 'Add app' }).click();
  await page.locator('[aria-invalid=true]').waitFor();
  await shoot(page, 'apps', { fullPage: true });
}

/** Some people, and the pages on which they are managed. */
async function people(page) {
  const names = [['Ollie Ng', 'ollie', 'admin'], ['Marta Ruiz', 'marta', 'member'], ['Dan Whyte', 'dan', 'member'], ['Kim Lee', 'kim', 'member']];
  for (const [name, local, role] of names) {
    const adding = server.command('user', 'add', '--email', `${local}@surfside.example`, '--name', name, '--role', role, '--password-stdin');
    adding.child.stdin.end('limpets stay where they are 7');
    await adding;
  }
  await server.command('user', 'disable', 'dan@surfside.example');
  await signIn(await visitor(CLIENTS.iphone), { email: 'kim@surfside.example', name: 'Kim Lee', password: 'limpets stay where they are 7' });
  await page.goto('/people');
  await shoot(page, 'people', { fullPage: true });
  await page.getByRole('link', { name: 'Kim Lee' }).click();
  await page.getByRole('heading', { level: 1, name: 'Kim Lee' }).waitFor();
  await shoot(page, 'person', { fullPage: true });
  await page.getByRole('link', { name: 'Delete…' }).click();
  await page.getByRole('button', { name: 'Delete account' }).waitFor();
  await shoot(page, 'person-delete');
  await page.goto('/people?query=dan');
  await shoot(page, 'people-search');
  await page.getByRole('link', { name: 'Dan Whyte' }).click();
  await page.getByRole('heading', { level: 1, name: 'Dan Whyte' }).waitFor();
  await shoot(page, 'person-disabled', { fullPage: true });
  await page.goto('/account/delete');
  await shoot(page, 'account-delete');
  await page.goto('/account/export');
  await shoot(page, 'account-export');
}

/** An invitation, and a link for somebody who forgot their password, as both sides see them. */
async function links(page) {
  await page.goto('/people/invite');
  await shoot(page, 'invite', { fullPage: true });
  await page.locator('#email').fill('sally@surfside.example');
  await page.getByLabel('Name', { exact: true }).fill('Sally Sands');
  await page.getByRole('button', { name: 'Make the link' }).click();
  await page.locator('svg.qr').waitFor();
  await shoot(page, 'invitation', { fullPage: true });
  const guest = await visitor(CLIENTS.iphone);
  await guest.goto(await page.locator('#one-time-link').textContent());
  await shoot(guest, 'link-invitation');
  await page.goto('/people?query=sally');
  await shoot(page, 'people-invited');
  await page.getByRole('link', { name: 'Sally Sands' }).click();
  await page.getByRole('link', { name: 'Send again…' }).waitFor();
  await shoot(page, 'person-invited', { fullPage: true });

  await guest.goto('/forgot');
  await shoot(guest, 'forgot');
  await guest.locator('#email').fill('kim@surfside.example');
  await guest.getByRole('button', { name: 'Ask for help' }).click();
  await guest.waitForURL(/done=asked/);
  await shoot(guest, 'forgot-asked');
  await page.goto('/dashboard');
  await shoot(page, 'dashboard-help');
  await page.goto('/people');
  await shoot(page, 'people-help', { fullPage: true });
  await page.goto('/dashboard');
  await page.getByRole('link', { name: 'Help Kim Lee' }).click();
  await page.getByRole('button', { name: 'Make the link' }).waitFor();
  await shoot(page, 'person-link');
  await page.getByRole('button', { name: 'Make the link' }).click();
  await page.locator('svg.qr').waitFor();
  await shoot(page, 'password-link', { fullPage: true });
  await guest.goto(await page.locator('#one-time-link').textContent());
  await shoot(guest, 'link-password');
  await guest.goto(`/link/${'x'.repeat(43)}`);
  await shoot(guest, 'link-gone');
}

/** A sign-in on the phone, on both screens. Without zbarimg, only the screen with the code. */
async function handOver(page) {
  await page.goto('/account/phone');
  await shoot(page, 'phone');
  await page.getByRole('button', { name: 'Show the code' }).click();
  await page.locator('svg.qr').waitFor();
  await shoot(page, 'phone-code');
  if (!canRead) return;
  const own = await visitor(CLIENTS.iphone);
  await page.setViewportSize(desktop);
  await own.goto(await readQr(page));
  await shoot(own, 'hand-over');
  await own.getByRole('button', { name: 'Go on' }).click();
  await own.locator('.big-number').waitFor();
  await shoot(own, 'hand-over-number');
  await page.locator('.big-number').waitFor();
  await shoot(page, 'phone-number');
  await page.getByRole('button', { name: 'Yes, sign it in' }).click();
  await page.getByText('Confirmed.').waitFor();
  await shoot(page, 'phone-confirmed');
  await own.getByRole('button', { name: 'Sign in' }).waitFor();
  await shoot(own, 'hand-over-confirmed');
}

/** Where there is mail. */
async function mailed() {
  const mails = await Mails.serve();
  const settings = { ...(process.argv.includes('--brand') ? BRAND : {}), SESSILE_SMTP_URL: `smtp://127.0.0.1:${mails.port}`, SESSILE_MAIL_FROM: 'id@surfside.example' };
  const template = await Server.template(owner);
  const mailing = await Server.create('sqlite', null, template, settings);
  try {
    const at = (context) => context.newPage();
    const fresh = (userAgent) => browser.newContext({ baseURL: mailing.origin, userAgent }).then(at);
    await addPerson(mailing, sam);
    await signIn(await fresh(CLIENTS.windows), sam);
    await signIn(await fresh(CLIENTS.iphone), sam);
    const page = await fresh(CLIENTS.windows);
    await page.goto(linkIn(await mails.to(sam.email, 'Was this you?')));
    await shoot(page, 'not-me');
    await page.goto('/forgot');
    await shoot(page, 'forgot-mail');
    await page.goto('/forgot?done=asked');
    await shoot(page, 'forgot-mail-asked');
    const html = /<!doctype html>[\s\S]*?<\/html>/i.exec(await mails.to(sam.email, 'Was this you?'))[0];
    // The pages of the service have a policy that a mail program lacks.
    const reader = await fresh(CLIENTS.windows);
    await reader.setContent(html);
    await shoot(reader, 'mail-new-device');
  } finally {
    await mailing.destroy();
    await mails.close();
    await rm(template, { recursive: true, force: true });
  }
}

/** A second device, one that came and went, and a mistyped password. */
async function makeHistory() {
  await signIn(await visitor(CLIENTS.iphone));
  const passing = await visitor(CLIENTS.firefox);
  await passing.goto('/login');
  await fillLogin(passing, { email: owner.email, password: 'not the password 1' });
  await signInButton(passing).click();
  await passing.locator('[aria-invalid=true]').waitFor();
  await signIn(passing);
  await signOutButton(passing).click();
  await passing.waitForURL((url) => url.pathname === '/login');
}

/** The page that brings a Strict cookie back goes on at once, so its picture is taken of a copy that stays. */
async function bounce() {
  const page = await visitor(CLIENTS.windows);
  const answer = await page.request.get('/dashboard', {
    headers: { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' },
    maxRedirects: 0,
  });
  const body = (await answer.text()).replace(/<meta http-equiv="refresh"[^>]*>/i, '');
  await page.route('**/dashboard', (route) => route.fulfill({ contentType: 'text/html', body }));
  await page.goto('/dashboard');
  await shoot(page, 'bounce');
}

async function visitor(userAgent) {
  const context = await browser.newContext({ baseURL: server.origin, userAgent });
  return context.newPage();
}

async function shoot(page, name, options = {}) {
  for (const size of [phone, desktop]) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      const file = `${name}-${size.width}x${size.height}-${colorScheme}.png`;
      await page.screenshot({ path: join(folder, file), caret: 'hide', animations: 'disabled', ...options });
    }
  }
}

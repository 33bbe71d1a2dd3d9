// A plain-http address of a local network is no secure context: no worker, no locks, no random UUIDs, no cryptography. All that
// does not need the network to be away works there.

import { expect, test as base } from '../lib/test.mjs';
import { createOwner, expectLogin, hold, owner, settled, signIn, signOutButton } from '../lib/test.mjs';
import { cut, heading, statusOf } from '../lib/app.mjs';
import { shellOptions } from '../lib/browser.mjs';
import { Front } from '../lib/front.mjs';
import { Server } from '../lib/server.mjs';

const test = base.extend({
  front: async ({}, use) => {
    const front = await Front.create();
    front.origin = front.origin.replace('localhost', 'shop.test');
    await use(front);
    await front.close();
  },
  server: async ({ front }, use) => {
    const server = await Server.create('sqlite', front.origin);
    front.leadTo(server);
    await use(server);
    await server.destroy();
  },
});

// Headers that have no effect here are sent everywhere; the browser says so.
test.beforeEach(({ watch }) => {
  watch.allowMessage(/^The Cross-Origin-Opener-Policy header has been ignored/);
  watch.allowMessage(/^Clear-Site-Data header on .* Not supported for insecure origins/);
});

test.use({ launchOptions: { ...shellOptions, args: [...shellOptions.args, '--host-resolver-rules=MAP shop.test 127.0.0.1'] } });

const field = (page) => page.getByLabel('Your post');
const row = (page, text) => page.locator('#draft-list').getByRole('link', { name: text });
const saved = (page) => expect(page.locator('#draft-state')).toHaveText('Saved');
const stored = (page) => page.evaluate(async () => (await (await fetch('/api/drafts')).json()).drafts.map(({ text }) => text).sort());

test('what a page may not use on such an address is not there', async ({ page }) => {
  await page.goto('/login');
  const seen = await page.evaluate(() => [isSecureContext, typeof crypto.randomUUID, typeof crypto.subtle, 'locks' in navigator, 'serviceWorker' in navigator]);
  expect(seen).toEqual([false, 'undefined', 'undefined', false, false]);
});

test('people sign in, write, are told of a conflict, name devices and sign out', async ({ page, visitor, server }) => {
  await createOwner(page, server);
  await settled(page);
  await page.getByRole('navigation').getByRole('link', { name: 'Drafts' }).click();
  await page.getByRole('link', { name: 'New draft' }).click();
  await field(page).fill('Begun on the shop floor');
  await saved(page);
  expect(await stored(page)).toEqual(['Begun on the shop floor']);
  await page.getByRole('button', { name: 'Done' }).click();
  await row(page, 'Begun on the shop floor').click();

  const other = await visitor();
  await signIn(other);
  await other.goto(page.url());
  await expect(field(other)).toHaveValue('Begun on the shop floor');
  // Neither hears of the other before both have written.
  const release = await hold(other, '**/api/session/sync');
  await field(other).fill('Begun, gone on with in the office');
  await expect(row(other, 'Begun, gone on with in the office')).toContainText('Waiting');
  await field(page).fill('Begun, gone on with here');
  await saved(page);
  release();
  await other.getByRole('button', { name: 'See both' }).click();
  await other.getByRole('button', { name: 'Keep both' }).click();
  await expect.poll(() => stored(other)).toEqual(['Begun, gone on with here', 'Begun, gone on with in the office']);
  await field(other).fill('Not for long');
  await saved(other);
  await other.getByRole('button', { name: 'Delete' }).click();
  await expect.poll(() => stored(page)).toEqual(['Begun, gone on with here']);

  await page.goto('/devices');
  const own = page.getByRole('listitem').filter({ hasText: 'This device' });
  await own.locator('summary').click();
  await own.getByLabel('New name').fill('The till');
  await own.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { name: 'The till' })).toBeVisible();
  await signOutButton(page).click();
  await expectLogin(page);
});

for (const path of ['/dashboard', '/drafts?draft=new']) {
  test(`a sign-out without a network is said by the page itself, and finished with the next contact (${path})`, async ({ page, server, front, watch }) => {
    await createOwner(page, server);
    await settled(page);
    await page.goto(path);
    await settled(page);
    const cookies = await page.context().cookies();
    cut(front, watch);
    await signOutButton(page).click();
    await expect(heading(page, 'You are signed out on this device')).toBeVisible();
    await expect(page.locator('body')).not.toContainText(owner.name.split(' ')[0]);
    expect(await statusOf(server, cookies)).toBe(200);
    front.restore();
    await expectLogin(page);
    expect(await statusOf(server, cookies)).toBe(401);
  });
}

test('a page that comes before a sign-out is finished finishes it', async ({ page, server, front, watch }) => {
  await createOwner(page, server);
  await settled(page);
  const tab = await page.context().newPage();
  const cookies = await page.context().cookies();
  cut(front, watch);
  await signOutButton(page).click();
  await expect(heading(page, 'You are signed out on this device')).toBeVisible();
  await page.close();
  front.restore();
  await tab.goto('/dashboard');
  await expectLogin(tab);
  expect(await statusOf(server, cookies)).toBe(401);
});

test('two tabs without locks send one at a time, and what one of them wrote comes once', async ({ page, server, front }) => {
  await createOwner(page, server);
  await settled(page);
  const tabs = [page, await page.context().newPage()];
  for (const tab of tabs) await tab.goto('/drafts');
  let [under, most] = [0, 0];
  const sent = [];
  front.override('/api/session/sync', async (req, body, pass) => {
    under += 1;
    most = Math.max(most, under);
    const request = { operations: JSON.parse(body).operations.map(({ id, text }) => `${text} (${id})`), at: performance.now() };
    sent.push(request);
    const answer = await pass();
    // So that whoever does not wait comes meanwhile.
    await new Promise((done) => { setTimeout(done, 300); });
    under -= 1;
    Object.assign(request, { status: answer.status, answeredAt: performance.now() });
    return answer;
  });
  for (const [at, tab] of tabs.entries()) {
    await tab.getByRole('link', { name: 'New draft' }).click();
    await field(tab).fill(`From tab ${at}`);
  }
  await Promise.all(tabs.map(saved));
  await expect.poll(() => stored(page)).toEqual(['From tab 0', 'From tab 1']);
  expect(most, JSON.stringify(sent)).toBe(1);
  // An operation is sent again only if it was not accepted.
  const accepted = sent.filter(({ status }) => status === 200).flatMap(({ operations }) => operations);
  expect(accepted.map((each) => each.split(' (')[0]).sort(), JSON.stringify(sent)).toEqual(['From tab 0', 'From tab 1']);
});

test('a page that was closed while it sent holds the others up only for a moment', async ({ page, server }) => {
  await createOwner(page, server);
  await settled(page);
  const tab = await page.context().newPage();
  await tab.goto('/drafts');
  await page.evaluate(() => new Promise((done, failed) => {
    const request = indexedDB.open('sessile');
    request.onsuccess = () => {
      const transaction = request.result.transaction('marks', 'readwrite');
      // Held by nobody who is still there; a clock that was put back must not make it longer.
      transaction.objectStore('marks').put({ name: 'lease outbox', value: { by: 'gone', until: Date.now() + 3_600_000 } });
      transaction.oncomplete = done;
      transaction.onabort = failed;
    };
  }));
  await tab.getByRole('link', { name: 'New draft' }).click();
  await field(tab).fill('Goes on');
  await saved(tab);
});

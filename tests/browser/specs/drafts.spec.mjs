// Drafts in two real browsers of one account: written, gone on with, changed in both at once; with scripts and without.

import { createOwner, expect, signIn, test } from '../lib/test.mjs';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0';

const field = (page) => page.getByLabel('Your post');
const row = (page, text) => page.locator('#draft-list').getByRole('link', { name: text });
const saved = (page) => expect(page.locator('#draft-state')).toHaveText('Saved');
const streamOpen = (page) => page.waitForResponse((answer) => new URL(answer.url()).pathname === '/api/events' && answer.ok());

async function both(visitor, server, options = {}) {
  const page = await visitor(options);
  await createOwner(page, server);
  const other = await visitor({ ...options, userAgent: FIREFOX });
  await signIn(other);
  return { page, other };
}

/** Opens the drafts, and waits until they are told live. */
async function open(page, address = '/drafts') {
  const stream = streamOpen(page);
  await page.goto(address);
  await stream;
}

async function write(page, text) {
  await page.getByRole('link', { name: 'New draft' }).click();
  await field(page).fill(text);
  await saved(page);
  return new URL(page.url()).searchParams.get('draft');
}

test('what is written is saved at a pause, without a button, and is there after a reload', async ({ visitor, server }) => {
  const { page } = await both(visitor, server);
  await open(page);
  await write(page, 'Low tide at six\nbring boots');
  await expect(page.locator('#draft-count')).toHaveText('27 of 10,000 characters');
  await page.reload();
  await expect(field(page)).toHaveValue('Low tide at six\nbring boots');
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(row(page, 'Low tide at six')).toBeVisible();
  await expect(field(page)).toHaveCount(0);
});

test('two devices go on with one draft, and each sees at once what the other writes', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server);
  await open(page);
  const id = await write(page, 'Begun here');
  await open(other, `/drafts?draft=${id}`);
  await expect(field(other)).toHaveValue('Begun here');
  await field(other).fill('Begun here, gone on with there');
  await saved(other);
  await expect(field(page)).toHaveValue('Begun here, gone on with there');
  await expect(page.locator('.draft-news')).toContainText('Last written on Firefox on Linux');
  await field(page).fill('Begun here, gone on with there, ended here');
  await saved(page);
  await expect(field(other)).toHaveValue('Begun here, gone on with there, ended here');
});

test('different drafts of two devices appear in both lists', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server);
  await open(page);
  await open(other);
  await write(page, 'From the desk');
  await write(other, 'From the fox');
  for (const one of [page, other]) {
    await expect(row(one, 'From the desk')).toBeVisible();
    await expect(row(one, 'From the fox')).toBeVisible();
  }
});

for (const choice of ['Keep this one', 'Keep the other one', 'Keep both']) {
  test(`a draft that was written in two places is shown twice: ${choice}`, async ({ visitor, server, watch }) => {
    const { page, other } = await both(visitor, server);
    await open(page);
    const id = await write(page, 'Begun');
    await open(other, `/drafts?draft=${id}`);
    await expect(field(other)).toHaveValue('Begun');
    watch.allowFailures('/api/session/sync');
    watch.allowFailures('/api/events');
    watch.allowFailures('/api/session');
    watch.allowFailures('/api/devices');
    watch.allowFailures('/readyz');
    await other.context().setOffline(true);
    await field(other).fill('Begun, with the fox');
    await expect(other.locator('#draft-state')).toContainText('Saved on this device');
    await field(page).fill('Begun, at the desk');
    await saved(page);
    await other.context().setOffline(false);
    await expect(other.locator('.draft-news')).toContainText('This draft was also written elsewhere');
    await other.getByRole('button', { name: 'See both' }).click();
    const versions = other.locator('.version');
    await expect(versions).toHaveCount(2);
    await expect(versions.nth(0)).toContainText('Begun, at the desk');
    await expect(versions.nth(1)).toContainText('Begun, with the fox');
    await other.getByRole('button', { name: choice }).click();
    const left = { 'Keep this one': ['Begun, at the desk'], 'Keep the other one': ['Begun, with the fox'], 'Keep both': ['Begun, at the desk', 'Begun, with the fox'] }[choice];
    for (const one of [page, other]) {
      await expect(one.locator('#draft-list li')).toHaveCount(left.length);
      for (const text of left) await expect(row(one, text)).toBeVisible();
      await expect(one.locator('#draft-list .tag')).toHaveCount(0);
    }
  });
}

test('a text that is too long stays where it is typed, and says so', async ({ visitor, server }) => {
  const { page } = await both(visitor, server);
  await open(page);
  await page.getByRole('link', { name: 'New draft' }).click();
  await field(page).fill('x'.repeat(10_001));
  await expect(page.locator('#draft-count')).toHaveText('10,001 of 10,000 characters: too long to be saved');
  await field(page).fill('x'.repeat(10_000));
  await saved(page);
});

test('a text that is too long is not left behind by going elsewhere', async ({ visitor, server }) => {
  const { page } = await both(visitor, server);
  await open(page);
  await write(page, 'Another one');
  await page.getByRole('link', { name: 'New draft' }).click();
  const long = 'y'.repeat(10_001);
  await field(page).fill(long);
  await row(page, 'Another one').click();
  await expect(field(page)).toBeFocused();
  await expect(field(page)).toHaveValue(long);
  await page.goBack();
  await expect(field(page)).toHaveValue(long);
  await field(page).fill('y, in short');
  await row(page, 'Another one').click();
  await expect(field(page)).toHaveValue('Another one');
  await expect(row(page, 'y, in short')).toBeVisible();
});

test('a draft that was deleted while its page was on the way does not come back', async ({ visitor, server }) => {
  const { page } = await both(visitor, server);
  await open(page);
  const id = await write(page, 'Deleted meanwhile');
  const tab = await page.context().newPage();
  let release;
  const held = new Promise((done) => { release = done; });
  await tab.route('**/static/js/drafts.*.js', async (route) => {
    await held;
    await route.continue();
  });
  await tab.goto(`/drafts?draft=${id}`, { waitUntil: 'commit' });
  await expect(field(tab)).toHaveValue('Deleted meanwhile');
  await page.getByRole('button', { name: 'Delete' }).click();
  await expect(page.locator('#draft-list')).toContainText('No drafts yet');
  await page.waitForResponse((answer) => new URL(answer.url()).pathname === '/api/session/sync');
  release();
  await expect(tab.locator('.draft-desk')).toContainText('not here any more');
  for (const one of [page, tab]) await expect(one.locator('#draft-list')).toContainText('No drafts yet');
});

test('a deleted draft goes from both devices', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server);
  await open(page);
  const id = await write(page, 'For a while');
  await open(other, `/drafts?draft=${id}`);
  await expect(field(other)).toHaveValue('For a while');
  await page.getByRole('button', { name: 'Delete' }).click();
  await expect(page.locator('#draft-list')).toContainText('No drafts yet');
  await expect(other.locator('#draft-list')).toContainText('No drafts yet');
});

test('by forms alone: written, edited in two places, chosen, deleted', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server, { javaScriptEnabled: false });
  await page.goto('/drafts');
  await page.getByRole('link', { name: 'New draft' }).click();
  await field(page).fill('Begun');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('status')).toHaveText('Saved.');
  await other.goto(page.url());
  await field(other).fill('Begun, with the fox');
  await field(page).fill('Begun, at the desk');
  await page.getByRole('button', { name: 'Save' }).click();
  await other.getByRole('button', { name: 'Save' }).click();
  await expect(other.locator('.version')).toHaveCount(2);
  await other.getByRole('button', { name: 'Keep the other one' }).click();
  await expect(field(other)).toHaveValue('Begun, with the fox');
  await other.getByRole('button', { name: 'Delete' }).click();
  await expect(other.getByRole('status')).toHaveText('That draft is deleted.');
});

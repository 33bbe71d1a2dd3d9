// A device that has no room, or whose browser keeps nothing: what is written is never said to be kept, and never goes without
// a question.

import { atHome, expect, test } from '../lib/app.mjs';
import { createOwner, signOutButton } from '../lib/test.mjs';

const field = (page) => page.getByLabel('Your post');
const row = (page, text) => page.locator('#draft-list').getByRole('link', { name: text });
const TROUBLE = 'This could not be kept on this device';
const done = (page) => page.getByRole('button', { name: 'Done' });

/** What the server has. */
const stored = async (page) => (await (await page.request.get('/api/drafts')).json()).drafts.map(({ text }) => text).sort();

/** At the drafts with one that is saved, and another one open that is. */
async function atDesk(app, server) {
  const page = await atHome(app, server);
  await page.goto('/drafts');
  for (const text of ['Another one', 'Before']) {
    await page.locator('[data-new-draft]').click();
    await field(page).fill(text);
    await expect(page.locator('#draft-state')).toHaveText('Saved');
  }
  return page;
}

/** Nothing is put away any more. */
const fillUp = (page) => page.evaluate(() => {
  const { put, add } = IDBObjectStore.prototype;
  const full = () => { throw new DOMException('full', 'QuotaExceededError'); };
  Object.assign(IDBObjectStore.prototype, { put: full, add: full });
  globalThis.makeRoom = () => Object.assign(IDBObjectStore.prototype, { put, add });
});

/** The browser asks before the page goes, and the person stays. */
async function asked(page, leave) {
  const question = page.waitForEvent('dialog');
  const going = leave().catch(() => {});
  const dialog = await question;
  expect(dialog.type()).toBe('beforeunload');
  await dialog.dismiss();
  await going;
}

async function expectThere(page, text) {
  await expect(field(page)).toHaveValue(text);
  await expect(page.getByRole('alert')).toHaveText(TROUBLE);
}

test('"Done" leaves a text that could not be kept in its field, and says so beside it', async ({ app, server }) => {
  const page = await atDesk(app, server);
  await fillUp(page);
  await field(page).focus();
  await page.keyboard.press('End');
  await page.keyboard.type(', and a paragraph that matters');
  await done(page).click();
  await expectThere(page, 'Before, and a paragraph that matters');
  await expect(field(page)).toBeFocused();
  await expect(page.locator('[data-state]')).toHaveText('Not kept on this device');
  await page.evaluate(() => globalThis.makeRoom());
  await done(page).click();
  await expect(field(page)).toHaveCount(0);
  await expect.poll(() => stored(page)).toEqual(['Another one', 'Before, and a paragraph that matters']);
});

test('a new draft that could not be kept is not left by any way that leads elsewhere in the page', async ({ app, server }) => {
  const page = await atDesk(app, server);
  await fillUp(page);
  await page.locator('[data-new-draft]').click();
  await field(page).fill('Nowhere else');
  for (const leave of [
    () => row(page, 'Another one').click(),
    () => page.locator('[data-new-draft]').click(),
    () => page.goBack(),
    () => done(page).click(),
    () => field(page).press('Tab').then(() => page.keyboard.press('Enter')),
  ]) {
    await leave();
    await expectThere(page, 'Nowhere else');
  }
});

test('a text that could not be kept does not go with its page unless the person says so', async ({ app, server }) => {
  const page = await atDesk(app, server);
  await page.goto('/account');
  await page.goto('/drafts');
  await row(page, 'Before').click();
  await fillUp(page);
  await field(page).fill('Before, and more');
  for (const leave of [
    () => page.getByRole('navigation').getByRole('link', { name: 'Devices' }).click({ noWaitAfter: true }),
    () => page.locator('.logo').click({ noWaitAfter: true }),
    () => page.evaluate(() => location.reload()),
    () => page.evaluate(() => { history.go(-2); }),
    () => page.close({ runBeforeUnload: true }),
  ]) {
    await asked(page, leave);
    await expectThere(page, 'Before, and more');
  }
});

test('signing out names a text that could not be kept first', async ({ app, server }) => {
  const page = await atDesk(app, server);
  await fillUp(page);
  await field(page).fill('Before, and more');
  await signOutButton(page).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('What you are writing is not kept');
  await page.getByRole('button', { name: 'Stay signed in' }).click();
  await expectThere(page, 'Before, and more');
  await signOutButton(page).click();
  await page.getByRole('button', { name: 'Sign out anyway' }).click();
  await page.waitForURL((url) => url.pathname === '/login');
});

test('what is kept is asked about by nobody, and a link waits until it is', async ({ app, server }) => {
  const page = await atDesk(app, server);
  const questions = [];
  page.on('dialog', (dialog) => {
    questions.push(dialog.type());
    dialog.accept();
  });
  await page.reload();
  await expect(field(page)).toHaveValue('Before');
  await field(page).focus();
  await page.keyboard.press('End');
  await page.keyboard.type('!');
  await page.getByRole('navigation').getByRole('link', { name: 'Devices' }).click();
  await page.waitForURL('**/devices');
  await page.goto('/drafts');
  await expect(row(page, 'Before!')).toBeVisible();
  expect(questions).toEqual([]);
});

test('deleting and choosing say so where the device cannot even note that', async ({ app, server }) => {
  const page = await atDesk(app, server);
  await fillUp(page);
  await page.getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByRole('alert')).toContainText('could not be kept on this device');
  await expect(field(page)).toHaveValue('Before');
});

for (const [what, hide] of [
  ['has no database', () => Object.defineProperty(globalThis, 'indexedDB', { get: () => undefined })],
  ['refuses its database', () => { IDBFactory.prototype.open = () => { throw new DOMException('private', 'SecurityError'); }; }],
]) {
  test(`a browser that ${what} works by forms, says so, and asks before a text is lost`, async ({ app, server }) => {
    const page = await app.open();
    await app.context.addInitScript(hide);
    await createOwner(page, server);
    await page.goto('/drafts?draft=new');
    await expect(page.getByRole('status').filter({ hasText: 'keeps nothing' })).toBeVisible();
    await field(page).fill('Written in private');
    await asked(page, () => page.getByRole('navigation').getByRole('link', { name: 'Devices' }).click({ noWaitAfter: true }));
    await signOutButton(page).click();
    await expect(page.getByRole('dialog')).toContainText('What you are writing is not kept');
    await page.getByRole('button', { name: 'Stay signed in' }).click();
    await expect(field(page)).toHaveValue('Written in private');
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(page.getByRole('status').filter({ hasText: 'Saved.' })).toBeVisible();
    expect(await stored(page)).toEqual(['Written in private']);
    await signOutButton(page).click();
    await page.waitForURL((url) => url.pathname === '/login');
  });
}

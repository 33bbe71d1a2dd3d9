// Drafts in two real browsers of one account: written, gone on with, changed in both at once; with scripts and without.

import { createOwner, expect, hold, signIn, test } from '../lib/test.mjs';

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

/** Carries out operations as the person who is signed in in `page`, from elsewhere. */
async function operate(page, server, ...operations) {
  const whole = operations.map((operation) => ({ id: crypto.randomUUID(), at: new Date().toISOString(), ...operation }));
  const answer = await page.request.post('/api/session/sync', { headers: { Origin: server.origin }, data: { operations: whole } });
  return (await answer.json()).results;
}

const put = (draftId, text, baseVersion) => ({ kind: 'draft.put', draftId, text, baseVersion });
const remove = (draftId, baseVersion) => ({ kind: 'draft.delete', draftId, baseVersion });

/** What the server has. */
const stored = async (page) => (await (await page.request.get('/api/drafts')).json()).drafts.map(({ text }) => text).sort();

/** While it is held back the page works by forms. */
const SCRIPT = '**/static/js/drafts.*.js';

/** A worker would answer for the network, from its cache. */
const noWorker = { serviceWorkers: 'block' };

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

for (const choice of ['the first', 'the second', 'both']) {
  test(`a draft that was written in two places is shown twice: keep ${choice}`, async ({ visitor, server, watch }) => {
    const { page, other } = await both(visitor, server);
    await open(page);
    const id = await write(page, 'Begun');
    await open(other, `/drafts?draft=${id}`);
    await expect(field(other)).toHaveValue('Begun');
    watch.allowOutage(server.origin);
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
    const keep = choice === 'both' ? other.getByRole('button', { name: 'Keep both' }) : versions.nth(choice === 'the first' ? 0 : 1).getByRole('button', { name: 'Keep this version' });
    await keep.click();
    const left = { 'the first': ['Begun, at the desk'], 'the second': ['Begun, with the fox'], both: ['Begun, at the desk', 'Begun, with the fox'] }[choice];
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
  await expect(field(page)).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByRole('alert')).toContainText('This could not be saved: it is too long.');
  await field(page).fill('x'.repeat(10_000));
  await saved(page);
  await expect(field(page)).not.toHaveAttribute('aria-invalid');
  await expect(page.getByRole('alert')).toHaveCount(0);
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

test('what was thrown away can be had back for a while', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server);
  await open(page);
  await write(page, 'Thrown away too soon');
  await page.getByRole('button', { name: 'Delete' }).click();
  await expect(page.locator('#draft-list')).toContainText('No drafts yet');
  await page.locator('.offer').getByRole('button', { name: 'Undo' }).click();
  await expect(field(page)).toHaveValue('Thrown away too soon');
  await open(other);
  await expect(other.locator('#draft-list')).toContainText('Thrown away too soon');
});

test('a draft that was deleted while its page was on the way does not come back', async ({ visitor, server }) => {
  const { page } = await both(visitor, server, noWorker);
  await open(page);
  const id = await write(page, 'Deleted meanwhile');
  const tab = await page.context().newPage();
  const release = await hold(tab, SCRIPT);
  await tab.goto(`/drafts?draft=${id}`, { waitUntil: 'commit' });
  await expect(field(tab)).toHaveValue('Deleted meanwhile');
  await page.getByRole('button', { name: 'Delete' }).click();
  await expect(page.locator('#draft-list')).toContainText('No drafts yet');
  await page.waitForResponse((answer) => new URL(answer.url()).pathname === '/api/session/sync');
  release();
  await expect(tab.locator('.draft-desk')).toContainText('no longer exists');
  for (const one of [page, tab]) await expect(one.locator('#draft-list')).toContainText('No drafts yet');
});

test('what is typed before the script is there is written on what it was typed on', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server, noWorker);
  await operate(page, server, put('tide', 'Begun', 0));
  const release = await hold(other, SCRIPT);
  await other.goto('/drafts?draft=tide', { waitUntil: 'commit' });
  await field(other).fill('Begun, typed early');
  await operate(page, server, put('tide', 'Begun, from elsewhere', 1));
  release();
  await expect.poll(() => stored(page)).toEqual(['Begun, from elsewhere', 'Begun, typed early']);
  await expect(field(other)).toHaveValue('Begun, typed early');
});

test('what is typed before the script is there outlives a deletion elsewhere', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server, noWorker);
  await operate(page, server, put('tide', 'Begun', 0));
  const release = await hold(other, SCRIPT);
  await other.goto('/drafts?draft=tide', { waitUntil: 'commit' });
  await field(other).fill('Begun, typed early');
  await operate(page, server, remove('tide', 1));
  release();
  await expect.poll(() => stored(page)).toEqual(['Begun, typed early']);
  await expect(field(other)).toHaveValue('Begun, typed early');
});

for (const id of ['tide', 'new']) {
  test(`a form that is shown again keeps what was typed when the script comes: ${id}`, async ({ visitor, server, watch }) => {
    const { page } = await both(visitor, server, noWorker);
    await operate(page, server, put('tide', 'Begun', 0));
    const release = await hold(page, SCRIPT);
    await page.goto(`/drafts?draft=${id}`, { waitUntil: 'commit' });
    await field(page).fill('Typed, and sent too late');
    await page.locator('input[name=csrf]').evaluateAll((all) => { for (const each of all) each.value = 'stale'; });
    watch.expectStatus(422, '/drafts');
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(page.getByRole('alert')).toContainText('Please try again');
    release();
    await expect(page.locator('#draft-state')).toHaveText('Saved');
    await expect(field(page)).toHaveValue('Typed, and sent too late');
    const all = id === 'new' ? ['Begun', 'Typed, and sent too late'] : ['Typed, and sent too late'];
    expect(await stored(page)).toEqual(all);
  });
}

test('what could not be kept stays in the field when the draft is deleted elsewhere', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server);
  await operate(page, server, put('tide', 'Begun', 0));
  await open(other, '/drafts?draft=tide');
  await other.evaluate(() => {
    const { add } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.add = () => { throw new DOMException('full', 'QuotaExceededError'); };
    window.makeRoom = () => { IDBObjectStore.prototype.add = add; };
  });
  await field(other).fill('Begun, with no room');
  await expect(other.getByRole('alert')).toHaveText('This could not be kept on this device');
  await operate(page, server, remove('tide', 1));
  await expect(other.locator('#draft-list')).toContainText('No drafts yet');
  await expect(field(other)).toHaveValue('Begun, with no room');
  await other.evaluate(() => window.makeRoom());
  await field(other).press('End');
  await field(other).pressSequentially('!');
  await expect.poll(() => stored(page)).toEqual(['Begun, with no room!']);
});

test('the version that is chosen survives, though it was deleted elsewhere meanwhile', async ({ visitor, server, watch }) => {
  const { page, other } = await both(visitor, server);
  const [, { draft: copy }] = await operate(page, server, put('tide', 'This one', 0), put('tide', 'The other one', 0));
  expect(copy.conflictOf).toBe('tide');
  await open(other, '/drafts?draft=tide');
  await expect(other.locator('.version')).toHaveCount(2);
  // The script has taken over from the forms, and knows what is new.
  await expect(other.locator('.draft-choice form')).toHaveCount(0);
  watch.allowOutage(server.origin);
  await other.context().setOffline(true);
  await operate(page, server, remove('tide', 1));
  await other.getByRole('button', { name: 'Keep this version' }).first().click();
  await other.context().setOffline(false);
  await expect.poll(() => stored(page)).toEqual(['This one']);
  await expect(row(other, 'This one')).toBeVisible();
});

test('a choice is not drawn anew under the hands of who is about to choose', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server);
  await operate(page, server, put('tide', 'This one', 0), put('tide', 'The other one', 0));
  await open(other, '/drafts?draft=tide');
  // The buttons of the script, which takes the place of the forms that the server has sent.
  await expect(other.locator('.draft-choice form')).toHaveCount(0);
  const button = other.getByRole('button', { name: 'Keep both' });
  await button.focus();
  await operate(page, server, put('kelp', 'Something else', 0));
  await expect(row(other, 'Something else')).toBeVisible();
  await expect(button).toBeFocused();
});

test('what the server has shown stays until what is known here is as new, however long that takes', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server, noWorker);
  await operate(page, server, put('tide', 'This one', 0), put('tide', 'The other one', 0));
  await other.clock.install();
  const asked = other.waitForRequest('**/api/session/sync');
  const release = await hold(other, '**/api/session/sync');
  await other.goto('/drafts?draft=tide');
  const button = other.getByRole('button', { name: 'Keep both' });
  await button.focus();
  await asked;
  // Then the script takes over, and knows nothing yet.
  await other.clock.runFor(4_000);
  await expect(row(other, 'This one')).toBeVisible();
  await expect(other.locator('.version')).toHaveCount(2);
  await expect(button).toBeFocused();
  release();
  await expect(other.locator('.draft-choice form')).toHaveCount(0);
  await expect(other.locator('.version')).toHaveCount(2);
  await expect(button).toBeFocused();
});

test('what is typed before the script takes over is kept before a link is followed', async ({ visitor, server }) => {
  const { page, other } = await both(visitor, server, noWorker);
  await operate(page, server, put('tide', 'Low', 0));
  const questions = [];
  other.on('dialog', (dialog) => {
    questions.push(dialog.type());
    dialog.accept();
  });
  // The script waits for what is new while the person already writes.
  const asked = other.waitForRequest('**/api/session/sync');
  const release = await hold(other, '**/api/session/sync');
  await other.clock.install();
  await other.goto('/drafts?draft=tide');
  await asked;
  await field(other).fill('Low tide at six');
  await other.getByRole('navigation').getByRole('link', { name: 'Devices' }).click();
  await other.waitForURL('**/devices');
  release();
  await expect.poll(() => stored(page)).toEqual(['Low tide at six']);
  expect(questions).toEqual([]);
});

test('after a draft is done or deleted the focus is in the list, not lost', async ({ visitor, server }) => {
  const { page } = await both(visitor, server);
  await open(page);
  await write(page, 'Low tide at six');
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(row(page, 'Low tide at six')).toBeFocused();
  await row(page, 'Low tide at six').click();
  await page.getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByRole('link', { name: 'New draft' })).toBeFocused();
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
  await other.locator('.version').nth(1).locator('summary').click();
  await expect(other.locator('.version').nth(1).getByText('Delete the other version on all your devices? This cannot be undone.')).toBeVisible();
  await page.reload();
  await expect(page.locator('.version'), 'nothing is thrown away before the answer').toHaveCount(2);
  await other.locator('.version').nth(1).getByRole('button', { name: 'Keep only this version' }).click();
  await expect(field(other)).toHaveValue('Begun, with the fox');
  await other.locator('summary', { hasText: 'Delete' }).click();
  await expect(other.locator('.ask')).toContainText('Delete this draft on all your devices?');
  await other.getByRole('button', { name: 'Delete this draft' }).click();
  await expect(other.getByRole('status')).toHaveText('That draft is deleted.');
});

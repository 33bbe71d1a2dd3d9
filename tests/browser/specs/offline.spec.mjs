import { AxeBuilder } from '@axe-core/playwright';
import { answer, atHome, cut, expect, heading, kept, put, signOutOffline, state, test } from '../lib/app.mjs';
import { desktop, phone } from '../lib/browser.mjs';

/** Walks through what the app shows without a network, and calls `look(name)` on each. */
async function walk({ app, server, front, watch }, options, look) {
  const page = await atHome(app, server, options);
  const person = { draftsAsOf: new Date().toISOString(), ...(await kept(page)).people[0] };
  await front.next();
  await page.evaluate(() => navigator.serviceWorker.getRegistration().then((known) => known.update()));
  await expect(page.getByText('A new version is ready.')).toBeVisible();
  await look(page, 'an update is ready');
  await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: 'Use it now' }).click()]);
  await setAside(page, person, look);
  await serviceAway(page, front, watch, look);
  cut(front, watch);
  await put(page, 'people', person);
  for (const n of [1, 2]) {
    await put(page, 'outbox', { account: person.id, op: { id: `o${n}`, kind: 'draft.put', draftId: `d${n}`, text: `Low tide at ${n}`, at: new Date().toISOString(), baseVersion: 0 }, state: 'waiting' });
  }
  await expect(state(page)).toHaveText('Offline, 2 changes waiting', { timeout: 20_000 });
  await look(page, 'waiting');
  await page.goto('/dashboard');
  await expect(page.getByText(/last saw, today/).first()).toBeVisible();
  await look(page, 'offline');
  await writing(page, person, look);
  await put(page, 'people', { ...person, expiresAt: new Date(Date.now() - 1000).toISOString() });
  await expect(page.getByRole('heading', { name: 'Sign in to continue' })).toBeVisible();
  await look(page, 'expired');
  await put(page, 'people', person);
  await signOutOffline(page).click();
  await expect(page.getByRole('dialog')).toBeVisible();
  await look(page, 'unsent drafts are named');
  await page.getByRole('button', { name: 'Sign out anyway' }).click();
  await expect(page.getByRole('heading', { name: 'You are signed out here' })).toBeVisible();
  await look(page, 'signed out');
}

async function setAside(page, person, look) {
  const problem = { type: 'conflict', title: 'Conflict', status: 409, detail: 'an account has at most 500 drafts' };
  const op = { id: 'o0', kind: 'draft.put', draftId: 'd0', text: 'Kelp soup is back on the menu.', at: new Date().toISOString(), baseVersion: 0 };
  await put(page, 'outbox', { seq: 1000, account: person.id, op, state: 'aside', problem });
  await page.goto('/drafts?draft=d0');
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  await expect(state(page)).toHaveText('1 change not saved');
  await look(page, 'set aside');
  await page.getByRole('button', { name: /discard this change/i }).click();
  await expect.poll(async () => (await kept(page)).outbox).toEqual([]);
}

async function serviceAway(page, front, watch, look) {
  const paths = ['/dashboard', '/readyz', '/api/session/sync', '/api/session', '/api/devices'];
  for (const path of paths) {
    front.override(path, async () => answer(503, path === '/dashboard' ? 'text/html' : 'application/problem+json', '{}', { 'x-request-id': 'req_1' }));
    for (let n = 0; n < 9; n += 1) watch.expectStatus(503, path);
  }
  await page.goto('/dashboard');
  await expect(heading(page, /^Can't reach Sessile/)).toBeVisible();
  await expect(state(page)).toHaveText("Can't reach Sessile");
  await look(page, 'service away');
  for (const path of paths) front.override(path, null);
}

async function writing(page, person, look) {
  await page.goto('/drafts?draft=new');
  await page.getByLabel('Your post').fill('We meet at the slipway. Bring boots, a torch and somebody who knows the rocks.');
  await expect(page.locator('#draft-state')).toContainText('Saved on this device');
  await look(page, 'offline desk');
  const draft = { account: person.id, version: 1, updatedAt: new Date().toISOString() };
  await put(page, 'drafts', { ...draft, id: 'soup', text: 'Kelp soup is back on the menu from Friday, with bread that we bake ourselves.', updatedOn: 'Phone' });
  await put(page, 'drafts', { ...draft, id: 'soup-2', conflictOf: 'soup', text: 'Kelp soup is back from Friday. Ask for the small bowl.', updatedOn: 'Desk' });
  await page.goto('/drafts?draft=soup');
  await expect(page.getByRole('button', { name: 'Keep this version' }).first()).toBeVisible();
  await look(page, 'conflict');
  await page.goto('/dashboard');
  await expect(page.getByText(/last saw, today/).first()).toBeVisible();
}

for (const colorScheme of ['light', 'dark']) {
  for (const viewport of [phone, desktop]) {
    test(`what is shown without a network is accessible (${colorScheme}, ${viewport.width}x${viewport.height})`, async ({ app, server, front, watch }) => {
      test.slow();
      await walk({ app, server, front, watch }, { colorScheme, viewport, reducedMotion: 'reduce' }, async (page, name) => {
        const { violations } = await new AxeBuilder({ page }).analyze();
        const findings = violations.flatMap(({ id, help, nodes }) => nodes.map(({ target }) => `${id}: ${help}: ${target.join(' ')}`));
        expect.soft(findings, name).toEqual([]);
        const [wide, has] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
        expect.soft(wide, `${name}: nothing sticks out`).toBeLessThanOrEqual(has);
        const pictures = process.env.SESSILE_PICTURES;
        if (pictures) await page.screenshot({ path: `${pictures}/${name.replaceAll(' ', '-')}-${viewport.width}x${viewport.height}-${colorScheme}.png` });
      });
    });
  }
}

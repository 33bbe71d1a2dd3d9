import { AxeBuilder } from '@axe-core/playwright';
import { cut, expect, kept, put, remembered, test, underWorker } from '../lib/app.mjs';
import { desktop, phone } from '../lib/browser.mjs';
import { createOwner } from '../lib/test.mjs';

/** Walks through what the app shows without a network, and calls `look(name)` on each. */
async function walk({ app, server, front, watch }, options, look) {
  const page = await app.open(options);
  await createOwner(page, server);
  await underWorker(page);
  await remembered(page);
  const [person] = (await kept(page)).people;
  await front.next();
  await page.evaluate(() => navigator.serviceWorker.getRegistration().then((known) => known.update()));
  await expect(page.getByText('A new version is ready.')).toBeVisible();
  await look(page, 'an update is ready');
  cut(front, watch);
  for (const n of [1, 2]) {
    await put(page, 'outbox', { account: person.id, op: { id: `o${n}`, kind: 'draft.put', draftId: `d${n}`, text: 'x' }, state: 'waiting' });
  }
  await expect(page.locator('[data-state]')).toHaveText('Offline, 2 changes waiting', { timeout: 20_000 });
  await look(page, 'waiting');
  await page.goto('/dashboard');
  await expect(page.getByText(/As of today/).first()).toBeVisible();
  await look(page, 'offline');
  await put(page, 'people', { ...person, expiresAt: new Date(Date.now() - 1000).toISOString() });
  await expect(page.getByRole('heading', { name: 'Sign in to go on' })).toBeVisible();
  await look(page, 'expired');
  await put(page, 'people', person);
  await page.getByRole('banner').getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('dialog')).toBeVisible();
  await look(page, 'unsent drafts are named');
  await page.getByRole('button', { name: 'Sign out anyway' }).click();
  await expect(page.getByRole('heading', { name: 'You are signed out here' })).toBeVisible();
  await look(page, 'signed out');
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

// Signing in by a browser whose answers come late, and by one that keeps no cookies.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { expect, test } from '../lib/app.mjs';
import { launchOptions } from '../lib/browser.mjs';
import { createOwner, fillLogin, owner, settled, signInButton, signOutButton } from '../lib/test.mjs';

test('a double click on "Sign in" begins one session, on one device', async ({ app, server, front }) => {
  const page = await app.open();
  await createOwner(page, server);
  await settled(page);
  await signOutButton(page).click();
  await page.waitForURL('**/login?done=signed-out');
  // A browser that was never here. The page is left first: it asks for a passkey's options, and an answer that comes
  // beside the next page's would set another visitor cookie.
  await page.goto('about:blank');
  await app.context.clearCookies();
  await page.goto('/login');
  await fillLogin(page);
  let first = true;
  let again;
  const second = new Promise((done) => { again = done; });
  const reached = new Promise((done) => {
    front.override('/login', async (req, body, pass) => {
      const answer = await pass();
      if (req.method !== 'POST' || !first) return answer;
      first = false;
      done();
      await second;
      return answer;
    });
  });
  // By the mouse: Playwright's own click would wait for the answer.
  const { x, y } = await signInButton(page).boundingBox();
  const press = () => page.mouse.click(x + 20, y + 10);
  await press();
  // The first one has signed in, and its answer is on its way while the button is pressed again.
  await reached;
  await press();
  await expect(page).toHaveURL(/\/dashboard$/);
  again();
  const read = async (path) => (await page.request.get(path)).json();
  expect((await read('/api/sessions')).sessions).toHaveLength(1);
  // The one on which the account was made, and this one.
  expect((await read('/api/devices')).devices).toHaveLength(2);
});

test('a browser that keeps no cookies is told so, and what was typed stays', async ({ app, server, watch }) => {
  await createOwner(await app.open(), server);
  const profile = await mkdtemp(join(tmpdir(), 'sessile-no-cookies-'));
  await mkdir(join(profile, 'Default'));
  const blocked = { profile: { default_content_setting_values: { cookies: 2 } } };
  await writeFile(join(profile, 'Default', 'Preferences'), JSON.stringify(blocked));
  const context = await chromium.launchPersistentContext(profile, { ...launchOptions, baseURL: server.origin });
  try {
    const page = context.pages()[0] ?? await context.newPage();
    for (const _ of [1, 2]) {
      await page.goto('/login');
      await fillLogin(page);
      await signInButton(page).click();
      await expect(page.getByRole('main')).toContainText(/cookies/i);
      await expect(page.getByRole('main')).not.toContainText('open for a while');
      await expect(page.getByLabel(/e-?mail/i)).toHaveValue(owner.email);
    }
    expect(await context.cookies()).toEqual([]);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { launchOptions } from '../lib/browser.mjs';
import { createOwner, expect, expectDashboard, expectLogin, signIn, signOutButton, test } from '../lib/test.mjs';

test('who is signed in still is after the server was killed and started again', async ({ page, server }) => {
  await createOwner(page, server);
  await page.goto('about:blank');
  await server.kill();
  await server.start();
  await page.goto('/dashboard');
  await expectDashboard(page);
});

test('who has signed out stays signed out after the server was killed right then', async ({ page, server }) => {
  await createOwner(page, server);
  const kept = await page.context().cookies();
  await signOutButton(page).click();
  await expectLogin(page);
  await page.goto('about:blank');
  await server.kill();
  await server.start();
  await page.context().addCookies(kept);
  await page.goto('/dashboard');
  await expectLogin(page);
});

test('who is signed in still is after closing the browser', async ({ page, server, watch }) => {
  await createOwner(page, server);
  const profile = await mkdtemp(join(tmpdir(), 'sessile-profile-'));
  const browser = async (visit) => {
    const context = await chromium.launchPersistentContext(profile, { ...launchOptions, baseURL: server.origin });
    await watch.attach(context);
    await visit(await context.newPage());
    await context.close();
  };
  try {
    await browser((tab) => signIn(tab));
    await browser(async (tab) => {
      await tab.goto('/dashboard');
      await expectDashboard(tab);
    });
  } finally {
    await rm(profile, { recursive: true, force: true });
  }
});

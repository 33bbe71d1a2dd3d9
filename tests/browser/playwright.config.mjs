import { defineConfig } from '@playwright/test';
import { shellOptions } from './lib/browser.mjs';

const projects = [{ name: 'sqlite', use: { engine: 'sqlite' }, testIgnore: /postgres\.spec/ }];
if (process.env.SESSILE_TEST_POSTGRES) {
  // The pages are the same on both engines; setting up, signing in and out and hearing of ends is walked on each.
  projects.push({
    name: 'postgres',
    use: { engine: 'postgres' },
    testMatch: /(restart|live|postgres)\.spec/,
    grepInvert: /another origin|another address|keyboard|keeps pages in memory|closing the browser/,
  });
}

export default defineConfig({
  testDir: 'specs',
  outputDir: 'results',
  reporter: 'list',
  // Most of a case is waiting.
  workers: 3,
  // What fails once is a fault, in the product or in the case.
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  // Long enough for a machine that is busy with something else: cases wait for events, and assume no speed.
  timeout: 120_000,
  expect: { timeout: 25_000 },
  use: { launchOptions: shellOptions, screenshot: 'only-on-failure', actionTimeout: 25_000, navigationTimeout: 30_000 },
  projects,
});

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
  // What passes only the second time is named at the end, and to be mended.
  retries: 1,
  forbidOnly: Boolean(process.env.CI),
  timeout: 60_000,
  expect: { timeout: 10_000 },
  use: { launchOptions: shellOptions, screenshot: 'only-on-failure', actionTimeout: 10_000, navigationTimeout: 15_000 },
  projects,
});

import { defineConfig } from '@playwright/test';
import { shellOptions } from './lib/browser.mjs';

const projects = [{ name: 'sqlite', use: { engine: 'sqlite' }, testIgnore: /postgres\.spec/ }];
if (process.env.SESSILE_TEST_POSTGRES) {
  // The pages are the same on both engines, and what they ask for is tested on each by the suites in Rust.
  projects.push({ name: 'postgres', use: { engine: 'postgres', fresh: true }, testMatch: /postgres\.spec/ });
}

export default defineConfig({
  testDir: 'specs',
  outputDir: 'results',
  // Cases share nothing, so a long file does not have to be one worker's.
  fullyParallel: true,
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

// Signing in to protected apps with several tabs, or long after a tab has asked.

import { WITHOUT_NGINX, expect, expectAskedFor, expectAt, openApp, openAppAgain, signInFor, test } from '../lib/protected.mjs';

test.skip(...WITHOUT_NGINX);

const TABS = ['/orders/1?tab=left', '/orders/2?tab=right'];

test('two tabs both arrive, each at its own address', async ({ page, shop, blog }) => {
  const tabs = [page, await page.context().newPage()];
  for (const [at, tab] of tabs.entries()) {
    await tab.goto(`${shop.origin}${TABS[at]}`);
    await expectAskedFor(tab, shop);
  }
  for (const [at, tab] of tabs.entries()) {
    await signInFor(tab, shop);
    await expectAt(tab, shop, TABS[at]);
  }
  for (const [at, tab] of tabs.entries()) await openAppAgain(tab, blog, TABS[at]);
});

// A browser without a pending cookie gets one for each tab. The last one replaces the others, so their codes are refused.
// Another round then brings each tab to its address.
test('two tabs that a signed-in browser opens at the same moment both arrive', async ({ page, shop, blog, server, watch }) => {
  watch.allowStatus(410, ['/.sessile/done']);
  await openApp(page, shop);
  const tabs = [page, await page.context().newPage()];
  await startTogether(tabs, blog, server);
  for (const [at, tab] of tabs.entries()) await expectNoDetour(tab, blog, TABS[at]);
});

test('two tabs that were opened at the same moment both arrive after signing in', async ({ page, shop, server, watch }) => {
  watch.allowStatus(410, ['/.sessile/done']);
  // Two first visits at the same moment get a visitor's cookie each, and one of the forms asks for the password again. This
  // case is about the pending cookie.
  await page.goto(`${server.origin}/login`);
  const tabs = [page, await page.context().newPage()];
  await startTogether(tabs, shop, server);
  for (const [at, tab] of tabs.entries()) {
    await signInFor(tab, shop);
    await expectNoDetour(tab, shop, TABS[at]);
  }
});

test('two tabs that go through a silent round at the same moment keep their addresses', async ({ page, shop, server }) => {
  await openApp(page, shop);
  await losePending(page);
  const tabs = [page, await page.context().newPage()];
  await startTogether(tabs, shop, server);
  for (const [at, tab] of tabs.entries()) await expectNoDetour(tab, shop, TABS[at]);
});

test('signing in more than an hour after opening the app takes one more click', async ({ page, shop, watch }) => {
  await page.goto(`${shop.origin}${TABS[0]}`);
  await expectAskedFor(page, shop);
  await losePending(page);
  watch.expectStatus(410, '/.sessile/done');
  await signInFor(page, shop);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await expectNoDetour(page, shop, TABS[0]);
});

/** Removes the pending cookie, as the browser does after an hour. */
const losePending = (page) => page.context().clearCookies({ name: '__Host-sessile_pending' });

/** Like `expectAt`, but fails at once on another page of the app, or on the page that says that a code is bad. */
async function expectNoDetour(tab, app, address) {
  const heading = tab.getByRole('heading', { level: 1, name: new RegExp(`^(${app.name}|Please sign in once more)$`) });
  expect(await heading.textContent()).toBe(app.name);
  expect(tab.url()).toBe(`${app.origin}${address}`);
}

/** Opens an app in several tabs. Sessile answers none of them before all have asked. */
async function startTogether(tabs, app, server) {
  server.child.kill('SIGSTOP');
  const asked = await Promise.all(tabs.map(nextRequest));
  const arrivals = tabs.map((tab, at) => tab.goto(`${app.origin}/.sessile/start?to=${encodeURIComponent(TABS[at])}`));
  await Promise.all(asked.map((request) => request()));
  server.child.kill('SIGCONT');
  await Promise.all(arrivals);
}

/** Resolves to a function that waits until the browser has sent the tab's next request, with its cookies. */
async function nextRequest(tab) {
  const tools = await tab.context().newCDPSession(tab);
  await tools.send('Network.enable');
  const sent = new Promise((done) => { tools.once('Network.requestWillBeSentExtraInfo', done); });
  return () => sent;
}

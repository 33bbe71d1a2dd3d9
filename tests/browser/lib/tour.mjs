// Visits every kind of page, for checks that all pages must pass.

import { canRead, readQr } from './qr.mjs';
import { appCode } from './totp.mjs';
import { answerOf, createOwner, email, expect, expectDashboard, expectLogin, fillLogin, makeDrafts, owner, password, signInButton, signOutButton } from './test.mjs';

/** Signs in to the same account from another browser, with the API. */
async function signInElsewhere(server) {
  const answer = await fetch(`${server.origin}/api/establish-session`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',
    },
    body: JSON.stringify({ email: owner.email, password: owner.password }),
  });
  expect(answer.status).toBe(200);
}

/** Visits all pages as one visitor and calls `look(name)` on each. */
export async function tour({ page, server, elsewhere, watch }, look) {
  await page.goto(server.setupLink);
  await look('setup');

  await createOwner(page, server);
  await page.reload();
  await expectDashboard(page);
  await look('dashboard');

  await page.goto('/apps');
  await look('apps, none yet');
  await page.getByLabel('Name').fill('Shop');
  await page.getByLabel('Address', { exact: true }).fill('shop');
  await page.getByLabel('Only some').check();
  await page.getByLabel('Members').check();
  await page.getByText('More settings').click();
  watch.expectStatus(422, '/apps');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Add app' }).click());
  await look('apps with a refused address');
  await page.getByLabel('Address', { exact: true }).fill('https://shop.example.test');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Add app' }).click());
  await page.getByText('HAProxy', { exact: true }).click();
  await look('an app that was just added');
  await page.getByRole('link', { name: 'Done' }).click();
  await page.waitForURL((url) => url.pathname.startsWith('/apps/app_'));
  await page.getByText('More settings').click();
  await look('an app');
  await page.getByRole('link', { name: 'Disable…' }).click();
  await look('an app to disable');
  await page.goto('/apps');
  await look('apps');
  await page.goto('/dashboard');
  await look('dashboard with an app');

  await page.goto('/people');
  await look('people, one alone');
  const adding = server.command('user', 'add', '--email', 'sam@example.test', '--name', 'Sam Shore', '--password-stdin');
  adding.child.stdin.end('limpets stay where they are 7');
  const sam = (await adding).trim();
  await page.goto('/people?query=sam');
  await look('people, a search');
  await page.goto('/people?query=nobody');
  await look('people, nobody found');
  await page.goto(`/people/${sam}?done=saved`);
  await look('a person');
  await page.getByLabel('Email').and(page.locator('input')).fill('keeper@example.test');
  watch.expectStatus(422, `/people/${sam}`);
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Save' }).click());
  await look('a person with a refused address');
  await page.goto(`/people/${sam}/confirm?act=delete`);
  await look('a person to delete');
  await page.goto('/account/delete');
  await look('the own account to delete');
  await page.goto('/account/export');
  await look('the own data to download');

  await page.goto('/forgot');
  await email(page).fill('sam@example.test');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Ask for help' }).click());
  await page.goto('/dashboard');
  await page.getByRole('region', { name: 'Somebody needs help' }).waitFor();
  await look('dashboard with a request for help');
  await page.getByRole('link', { name: 'Help Sam Shore' }).click();
  await page.getByRole('button', { name: 'Make the link' }).waitFor();
  await look('a link for a new password, asked');
  await page.getByRole('button', { name: 'Make the link' }).click();
  await page.locator('svg.qr').waitFor();
  await look('a link for a new password');
  await page.goto(await page.locator('#one-time-link').textContent());
  await look('the page of a link for a new password');

  await page.goto('/account/email');
  await look('a new address for the own account');

  await page.goto('/account?done=name');
  await look('account');

  await page.getByLabel('Current password').and(page.locator('input')).fill('not the password 1');
  await password(page).fill('another good passphrase 9');
  watch.expectStatus(401, '/account');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Change password' }).click());
  await look('account with an error');

  await page.goto('/account/phone');
  await look('sign in on my phone');
  await page.getByRole('button', { name: 'Show the code' }).click();
  await page.locator('svg.qr').waitFor();
  await look('the code for a phone');
  if (canRead) {
    await page.goto(await readQr(page));
    await look('the page of a code for a phone');
    await page.goto('/account/phone');
    await look('sign in on my phone, again');
  }

  await page.goto('/people/invite');
  await look('invite somebody');
  await page.getByLabel('Email').and(page.locator('#email')).fill('marta@example.test');
  await page.getByRole('button', { name: 'Make the link' }).click();
  await page.locator('svg.qr').waitFor();
  await look('an invitation');
  await page.goto(await page.locator('#one-time-link').textContent());
  await look('the page of an invitation');
  await page.goto('/people');
  await look('people, one invited');
  await page.getByRole('link', { name: 'marta', exact: true }).click();
  await page.getByRole('link', { name: 'Send again…' }).waitFor();
  await look('a person who is invited');
  await page.getByRole('link', { name: 'Cancel the invitation…' }).click();
  await page.getByRole('button', { name: 'Cancel the invitation' }).waitFor();
  await look('an invitation to cancel');

  await page.goto('/confirm?next=/account');
  await look('confirm');

  await page.goto('/confirm?then=others&next=/devices');
  await look('confirm the end of a sign-in');

  await page.goto('/devices');
  await look('devices, one alone');

  await signInElsewhere(server);
  await page.goto('/devices?done=renamed');
  await look('devices');
  await page.locator('.menu > summary').first().click();
  await look('devices with an open name');
  const name = page.getByLabel('New name').first();
  await name.fill('\u200b');
  watch.expectStatus(422, '/devices');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Save' }).first().click());
  await look('devices with a refused name');

  await page.goto('/drafts');
  await look('drafts, none yet');
  await makeDrafts(page, server);
  await page.goto('/drafts?draft=tide');
  // A phone shows the open draft alone.
  await page.locator('#draft-list li').nth(2).waitFor({ state: 'attached' });
  await look('drafts, one open');
  await page.goto('/drafts?draft=kelp');
  await page.locator('.version').nth(1).waitFor();
  await look('drafts, one in two versions');
  await page.goto('/drafts?draft=new');
  await page.getByLabel('Your post').fill('x'.repeat(10_001));
  await page.getByRole('alert').waitFor();
  await look('drafts, one that is too long');

  await page.goto('/activity');
  await look('activity');
  await page.goto('/activity?show=changes&before=1');
  await look('activity, past its end');
  await page.goto('/account?why=not-me');
  await look('account after what was not me');

  await setUpApp(page, server, watch, look);

  watch.expectStatus(404, '/no-such-page');
  const missing = await page.goto('/no-such-page');
  expect(missing.status()).toBe(404);
  await look('404');

  const shop = await elsewhere(`<form method="post" action="${server.origin}/logout"><button>Go</button></form>`);
  await page.goto(shop);
  watch.expectStatus(403, '/logout');
  const refused = await answerOf(page, 'POST', () => page.getByRole('button').click());
  expect(refused.status()).toBe(403);
  await look('403');

  await page.goto('/dashboard');
  await signOutButton(page).click();
  // The draft that is too long is only on this device, so the sign-out asks first.
  await page.getByRole('button', { name: 'Sign out anyway' }).click();
  await expectLogin(page);
  await look('signed out');

  await page.goto('/signup');
  await look('signup');

  await page.goto('/forgot');
  await look('forgot');
  await page.goto('/forgot?done=asked');
  await look('forgot, asked');
  watch.expectStatus(410, '/link/used');
  await page.goto('/link/used');
  await look('a link that no longer works');

  await page.goto('/login');
  await look('login');

  await fillLogin(page, { email: owner.email, password: 'not the password 1' });
  watch.expectStatus(401, '/login');
  await answerOf(page, 'POST', () => signInButton(page).click());
  await look('login with an error');

  await fillLogin(page, owner);
  await answerOf(page, 'POST', () => signInButton(page).click());
  await page.waitForURL((url) => url.pathname === '/login/second');
  await look('the second step');
  await page.getByLabel('Code').fill('12345');
  watch.expectStatus(401, '/login/second');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Continue' }).click());
  await look('the second step with an error');
  await page.goto('/login');

  watch.allowOrigin(`http://127.0.0.1:${server.port}`);
  await page.goto(`http://127.0.0.1:${server.port}/login`);
  await look('login under another address');
}

/** Sets an authenticator app up. From then on signing in takes a code. */
async function setUpApp(page, server, watch, look) {
  await page.goto('/account/security');
  if (await page.getByRole('link', { name: 'Set up an app' }).count() === 0) throw new Error('an app is there already');
  await look('sign-in security, without a second factor');
  await page.goto('/account/security/app');
  if (new URL(page.url()).pathname === '/confirm') {
    await password(page).fill(owner.password);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.waitForURL((url) => url.pathname === '/account/security/app');
  }
  await look('an authenticator app to set up');
  const key = await page.locator('#app-key').textContent();
  await page.getByLabel('Type the code').fill('12345');
  watch.expectStatus(422, '/account/security/app');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Add the app' }).click());
  await look('an authenticator app with a wrong code');
  await page.getByLabel('Type the code').fill(appCode(key));
  await page.getByRole('button', { name: 'Add the app' }).click();
  await page.locator('#recovery-codes').waitFor();
  await look('recovery codes');
  await page.getByRole('link', { name: 'I have kept them' }).click();
  await page.waitForURL((url) => url.pathname === '/account/security');
  await look('sign-in security, with an app');
  await page.goto('/account');
  await look('account with a second factor');
  await page.goto('/account/security/recovery');
  await look('confirm with a code');
  await password(page).fill(owner.password);
  // The code of the set-up works no more; the next one does already.
  await page.getByLabel(/^Code/).fill(appCode(key, 1));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL((url) => url.pathname === '/account/security/recovery');
  await look('new recovery codes, asked');
  await page.goto('/account/security/app/remove');
  await look('an authenticator app to remove');
}

// Every kind of page there is, and how to get to it: for the checks that all pages must pass.

import { answerOf, createOwner, expect, expectDashboard, expectLogin, fillLogin, owner, password, signInButton, signOutButton } from './test.mjs';

/** Walks through all pages with one visitor and calls `look(name)` on each. */
export async function tour({ page, server, elsewhere, watch }, look) {
  await page.goto(server.setupLink);
  await look('setup');

  await createOwner(page, server);
  await page.reload();
  await expectDashboard(page);
  await look('dashboard');

  await page.goto('/account?done=name');
  await look('account');

  await page.getByLabel('Password now').and(page.locator('input')).fill('not the password 1');
  await password(page).fill('another good passphrase 9');
  watch.expectStatus(401, '/account');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Change password' }).click());
  await look('account with an error');

  await page.goto('/confirm?next=/account');
  await look('confirm');

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
  await expectLogin(page);
  await look('signed out');

  await page.goto('/signup');
  await look('signup');

  await page.goto('/login');
  await look('login');

  await fillLogin(page, { email: owner.email, password: 'not the password 1' });
  watch.expectStatus(401, '/login');
  await answerOf(page, 'POST', () => signInButton(page).click());
  await look('login with an error');

  watch.allowOrigin(`http://127.0.0.1:${server.port}`);
  await page.goto(`http://127.0.0.1:${server.port}/login`);
  await look('login under another address');
}

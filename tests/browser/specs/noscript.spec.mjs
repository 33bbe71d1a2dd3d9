import {
  answerOf, createOwner, email, expect, expectDashboard, expectLogin, fillLogin, owner, password, signIn, signInButton,
  signOutButton, test,
} from '../lib/test.mjs';

test('setup, signing out and signing in work without JavaScript', async ({ visitor, server, watch }) => {
  const page = await visitor({ javaScriptEnabled: false });
  await createOwner(page, server);
  await signOutButton(page).click();
  await expectLogin(page);

  await fillLogin(page, { email: owner.email, password: 'not the password 1' });
  watch.expectStatus(401, '/login');
  const answer = await answerOf(page, 'POST', () => signInButton(page).click());
  expect(answer.status()).toBe(401);
  await expect(email(page)).toHaveValue(owner.email);
  await expect(password(page)).toHaveValue('');

  await signIn(page);
  await page.reload();
  await expectDashboard(page);
});

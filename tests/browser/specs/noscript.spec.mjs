import {
  answerOf, createOwner, email, expect, expectDashboard, expectLogin, fillLogin, owner, password, signIn, signInButton,
  signOutButton, test,
} from '../lib/test.mjs';

test('setup, signing out and signing in work without JavaScript', async ({ visitor, server, watch }) => {
  const page = await visitor({ javaScriptEnabled: false });
  await createOwner(page, server);
  await signOutButton(page).click();
  await expectLogin(page);
  await expect(page.getByRole('main')).toContainText('You are signed out.');

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

test('on a phone the header is one line without JavaScript too', async ({ visitor, server }) => {
  const page = await visitor({ javaScriptEnabled: false, viewport: { width: 390, height: 844 } });
  await createOwner(page, server);
  const [logo, button] = await Promise.all([page.locator('.logo'), signOutButton(page)].map((place) => place.boundingBox()));
  expect(Math.abs(logo.y + logo.height / 2 - (button.y + button.height / 2)), 'how far the two are apart in height').toBeLessThan(12);
});

test('the activity is printed without what is pressed', async ({ visitor, server }) => {
  const page = await visitor({ javaScriptEnabled: false });
  await createOwner(page, server);
  await page.goto('/activity');
  await expect(page.getByRole('navigation', { name: 'Show' })).toBeVisible();
  await page.emulateMedia({ media: 'print' });
  await expect(page.locator('#activity li').first()).toBeVisible();
  for (const pressed of ['nav', 'button', '.button']) await expect(page.locator(pressed).and(page.locator(':visible'))).toHaveCount(0);
});

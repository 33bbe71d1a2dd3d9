import {
  answerOf, createOwner, email, expect, expectDashboard, expectLogin, fillLogin, owner, password, settled, signIn, signInButton, test,
} from '../lib/test.mjs';

const NEW = 'limpets and kelp at noon 3';
const now = (page) => page.getByLabel('Current password').and(page.locator('input'));
const changeButton = (page) => page.getByRole('button', { name: 'Change password' });

test('a new name greets on the first page', async ({ page, server }) => {
  await createOwner(page, server);
  await page.getByRole('navigation').getByRole('link', { name: 'Account' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Wren of the Rocks');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('status')).toHaveText('Your name was changed.');
  await page.goto('/dashboard');
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Wren');
});

for (const javaScriptEnabled of [true, false]) {
  test(`a new password signs out everywhere else and keeps this device signed in (scripts: ${javaScriptEnabled})`, async ({ visitor, server, watch }) => {
    const page = await visitor({ javaScriptEnabled });
    await createOwner(page, server);
    const elsewhere = await visitor({ javaScriptEnabled });
    await signIn(elsewhere);
    if (javaScriptEnabled) await settled(elsewhere);
    await page.goto('/account');
    await now(page).fill(owner.password);
    await password(page).fill(NEW);
    await expect(page.getByLabel('Sign out everywhere else')).toBeChecked();
    await changeButton(page).click();
    await expect(page.getByRole('status')).toContainText('signed out everywhere else');
    await page.goto('/dashboard');
    await expectDashboard(page);

    await elsewhere.goto('/dashboard');
    await expectLogin(elsewhere);
    await expect(elsewhere.getByRole('main')).toContainText('The password was changed (');
    watch.expectStatus(401, '/login');
    await fillLogin(elsewhere);
    await answerOf(elsewhere, 'POST', () => signInButton(elsewhere).click());
    await fillLogin(elsewhere, { ...owner, password: NEW });
    await signInButton(elsewhere).click();
    await expectDashboard(elsewhere);
  });
}

test('a password that many people use is refused beside its field, with the reason', async ({ page, server, watch }) => {
  await createOwner(page, server);
  await page.goto('/account');
  await now(page).fill(owner.password);
  await password(page).fill('qwertyuiop12');
  watch.expectStatus(422, '/account');
  await answerOf(page, 'POST', () => changeButton(page).click());
  await expect(page.locator('#password-error')).toContainText('many people use');
  await expect(now(page)).toHaveValue('');
  await expect(password(page)).toBeFocused();
});

test('somebody makes an account, and is asked for the password again where that is due', async ({ visitor, server, watch }) => {
  await createOwner(await visitor(), server);
  const page = await visitor();
  await page.goto('/login');
  await page.getByRole('link', { name: 'Create account' }).click();
  await page.getByLabel('Your name').fill('Pim Crab');
  await page.getByLabel('Email').fill('pim@example.test');
  await password(page).fill(NEW);
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Pim');

  await page.goto('/confirm?next=/account');
  await password(page).fill('not the password 1');
  watch.expectStatus(401, '/confirm');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Continue' }).click());
  await password(page).fill(NEW);
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page).toHaveURL(/\/account$/);
});

test('a sign-up with a taken address leads to the sign-in, which has the address already', async ({ visitor, server, watch }) => {
  await createOwner(await visitor(), server);
  const page = await visitor();
  await page.goto('/login?next=/devices');
  await page.getByRole('link', { name: 'Create account' }).click();
  await page.getByLabel('Your name').fill('Pim Crab');
  await email(page).fill(owner.email);
  await password(page).fill(NEW);
  watch.expectStatus(422, '/signup');
  await answerOf(page, 'POST', () => page.getByRole('button', { name: 'Create account' }).click());
  await page.getByRole('link', { name: 'Sign in instead' }).click();
  await expectLogin(page);
  expect(page.url()).not.toContain('@');
  expect(decodeURIComponent(page.url())).not.toContain('@');
  await expect(email(page)).toHaveValue(owner.email);
  await expect(password(page)).toBeFocused();
  await password(page).fill(owner.password);
  await signInButton(page).click();
  await expect(page).toHaveURL(/\/devices$/);
});

test('after too many wrong passwords the page says how long to wait', async ({ visitor, server, watch }) => {
  await createOwner(await visitor(), server);
  const page = await visitor();
  await page.goto('/login');
  // Each wait is twice the last, so that even on a slow machine one is met before it is over.
  let status = 401;
  for (let n = 0; n < 20 && status === 401; n += 1) {
    await fillLogin(page, { ...owner, password: 'not the password 1' });
    watch.expectStatus([401, 429], '/login');
    status = (await answerOf(page, 'POST', () => signInButton(page).click())).status();
  }
  expect(status).toBe(429);
  await expect(page.locator('#password-error')).toContainText(/Too many wrong passwords\. Wait .+, then try again\. Forgotten it\? Ask the administrator\./);
});

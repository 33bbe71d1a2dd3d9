import { answerOf, createOwner, email, expect, expectDashboard, owner, password, test } from '../lib/test.mjs';

test.use({ fresh: true });

test('the one-time link makes the owner, who lands signed in on the dashboard', async ({ page, server }) => {
  await page.goto(server.setupLink);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await createOwner(page, server);
});

test('opening the one-time link does not use it up', async ({ page, visitor, server }) => {
  await (await visitor()).goto(server.setupLink);
  await page.goto(server.setupLink);
  await createOwner(page, server);
});

test('the one-time link says that it is used once there is an owner', async ({ page, visitor, server, watch }) => {
  await createOwner(page, server);

  const late = await visitor();
  watch.expectStatus(403, '/setup');
  const answer = await late.goto(server.setupLink);
  expect(answer.status()).toBe(403);
  await expect(late.getByRole('main')).toContainText(/used|already/i);
  await expect(late.getByRole('textbox')).toHaveCount(0);
  await late.getByRole('main').getByRole('link').first().click();
  await late.waitForURL((url) => url.pathname === '/login');
});

test('a setup with too short a password says so beside the field and keeps the rest', async ({ page, server, watch }) => {
  await page.goto(server.setupLink);
  await email(page).fill(owner.email);
  await page.getByLabel(/name/i).and(page.locator('input[name=name]')).fill(owner.name);
  await password(page).fill('short');
  watch.expectStatus(422, '/setup');
  const answer = await answerOf(page, 'POST', () => page.getByRole('button', { name: /create .*account/i }).click());
  expect(answer.status()).toBe(422);
  await expect(password(page)).toHaveAttribute('aria-invalid', 'true');
  await expect(password(page)).toHaveValue('');
  await expect(email(page)).toHaveValue(owner.email);
  await expect(page.locator('input[name=name]')).toHaveValue(owner.name);

  await password(page).fill(owner.password);
  await page.getByRole('button', { name: /create .*account/i }).click();
  await expectDashboard(page);
});

// Times and days are those of whoever reads them, also where no script runs.

import { createOwner, expect, expectDashboard, settled, signIn, test } from '../lib/test.mjs';

// The form tells the zone.
test.use({ fresh: true });

const FIRST = 'Pacific/Kiritimati';
const LAST = 'Pacific/Pago_Pago';

const lastDay = (page) => page.locator('.week-day').last();
const today = (timeZone) => new Intl.DateTimeFormat('en', { weekday: 'short', timeZone }).format(new Date());

test('the week ends today, where the reader is', async ({ visitor, server }) => {
  const page = await visitor({ timezoneId: FIRST });
  await createOwner(page, server);
  await expect(lastDay(page)).toHaveText(today(FIRST));

  // Without a script the account's zone counts, whatever the machine's is.
  const plain = await visitor({ javaScriptEnabled: false, timezoneId: LAST });
  await signIn(plain);
  await expect(lastDay(plain)).toHaveText(today(FIRST));
});

test('a page that was written for another zone is put right', async ({ visitor, server }) => {
  const page = await visitor({ timezoneId: FIRST });
  await createOwner(page, server);
  const traveller = await visitor({ timezoneId: LAST });
  await traveller.context().addCookies((await page.context().cookies()).filter(({ name }) => !name.includes('zone')));
  await traveller.goto('/dashboard');
  await expectDashboard(traveller);
  await expect(lastDay(traveller)).toHaveText(today(LAST));
});

test('a browser that was signed out reads when on its own clock', async ({ visitor, server }) => {
  const page = await visitor({ timezoneId: FIRST });
  await createOwner(page, server);
  await settled(page);
  // An open page would go to the sign-in by itself.
  await page.goto('about:blank');
  const other = await visitor({ timezoneId: LAST });
  await signIn(other);
  await other.goto('/devices');
  await other.getByRole('button', { name: 'Sign out everywhere else' }).click();
  await other.getByRole('button', { name: 'Sign out everywhere else' }).click();
  await expect(other.getByRole('status')).toHaveText('You are signed out everywhere else.');
  await page.goto('/login');
  const moment = page.locator('.notice time');
  const at = new Date(await moment.getAttribute('datetime'));
  const clock = new Intl.DateTimeFormat('en-US', { hour: 'numeric', minute: '2-digit', timeZone: FIRST }).format(at);
  await expect(moment).toContainText(`today ${clock}`);
});

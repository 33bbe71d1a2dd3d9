// Somebody who forgot their password gets a new one: from an administrator where there is no mail, else by mail.

import { desktop, phone } from '../lib/browser.mjs';
import { linkIn, test as withMail } from '../lib/mail.mjs';
import { addPerson, answerOf, createOwner, email, expect, expectDashboard, expectLogin, fillLogin, password, sam, settled, signIn, signInButton, test } from '../lib/test.mjs';

const NEW = { ...sam, password: 'nine urchins on a tray' };

async function ask(page, address) {
  await page.goto('/login');
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  await email(page).fill(address);
  await page.getByRole('main').getByRole('button').click();
  await expect(page).toHaveURL(/\/forgot\?done=asked$/);
}

async function choose(page, link) {
  await page.goto(link);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Choose a new password');
  await expect(page.locator('#email')).toHaveValue(sam.email);
  await password(page).fill(NEW.password);
  await page.getByRole('button', { name: 'Save and sign in' }).click();
  await expectDashboard(page, sam);
}

for (const javaScriptEnabled of [true, false]) {
  test(`without mail, an administrator sees the request and makes a link (scripts of the person: ${javaScriptEnabled})`, async ({ page, visitor, server, watch }) => {
    await addPerson(server, sam);
    const old = await visitor();
    await signIn(old, sam);
    await settled(old);
    await page.setViewportSize(desktop);
    await createOwner(page, server);
    await settled(page);
    const help = page.getByRole('region', { name: 'Somebody needs help' });
    await expect(help).toHaveCount(0);

    const own = await visitor({ viewport: phone, isMobile: true, hasTouch: true, javaScriptEnabled });
    await ask(own, sam.email);
    await expect(own.getByRole('heading', { level: 1 })).toHaveText('Help is on its way');
    await expect(help.getByRole('listitem'), 'the request appears on the open dashboard').toHaveCount(1);
    await expect(help).toContainText(sam.email);
    await help.getByRole('link', { name: 'Help Sam Shore' }).click();
    await page.getByRole('button', { name: 'Make the link' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('A new password for Sam Shore');
    const link = await page.locator('#one-time-link').textContent();

    await old.goto('/devices');
    await expect(old.getByRole('heading', { level: 1 }), 'the old sign-in lasts until the link is used').toHaveText('Devices');
    await settled(old);
    await choose(own, link);
    await expectLogin(old);
    await expect(old.getByRole('main')).toContainText('The password was changed');
    watch.expectStatus(401, '/login');
    await fillLogin(old, sam);
    await answerOf(old, 'POST', () => signInButton(old).click());
    await page.goto('/dashboard');
    await expect(help).toHaveCount(0);
  });
}

test('a request for an address without an account gets the same answer and shows nothing', async ({ page, visitor, server }) => {
  await createOwner(page, server);
  const own = await visitor();
  await ask(own, 'nobody@example.test');
  await expect(own.getByRole('heading', { level: 1 })).toHaveText('Help is on its way');
  await page.reload();
  await expectDashboard(page);
  await expect(page.getByRole('region', { name: 'Somebody needs help' })).toHaveCount(0);
});

withMail('with mail, the person gets a link and chooses a new password', async ({ page, visitor, server, mails, watch }) => {
  await addPerson(server, sam);
  const old = await visitor();
  await signIn(old, sam);
  await settled(old);
  await ask(page, sam.email);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Check your mail');
  const link = linkIn(await mails.to(sam.email, 'asked for a new password'));
  await choose(page, link);
  await expectLogin(old);
  watch.expectStatus(410, link);
  await (await visitor()).goto(link);
  await mails.to(sam.email, 'Your password was changed');
});

withMail('with mail, an invited person is in with the link of the mail', async ({ page, visitor, server, mails }) => {
  await createOwner(page, server);
  await page.goto('/people/invite');
  await page.locator('#email').fill(sam.email);
  await page.getByRole('button', { name: 'Make the link' }).click();
  await page.locator('svg.qr').waitFor();
  const own = await visitor();
  await own.goto(linkIn(await mails.to(sam.email, 'Choose a password')));
  await own.getByLabel('Your name').fill(sam.name);
  await password(own).fill(sam.password);
  await own.getByRole('button', { name: 'Save and sign in' }).click();
  await expectDashboard(own, sam);
});

for (const javaScriptEnabled of [true, false]) {
  withMail(`"This wasn't me" from a mail needs no sign-in (scripts: ${javaScriptEnabled})`, async ({ page, visitor, server, mails }) => {
    await addPerson(server, sam);
    await signIn(page, sam);
    await settled(page);
    const intruder = await visitor();
    await signIn(intruder, sam);
    await settled(intruder);
    const link = linkIn(await mails.to(sam.email, 'Was this you?'));

    const reader = await visitor({ viewport: phone, javaScriptEnabled });
    await reader.goto(link);
    await reader.reload();
    await expect(reader.getByRole('heading', { level: 1 })).toHaveText('Was this you?');
    await intruder.goto('/devices');
    await expect(intruder.getByRole('heading', { level: 1 }), 'opening the link changes nothing').toHaveText('Devices');
    await settled(intruder);
    await reader.getByRole('button', { name: /This wasn.t me/ }).click();
    await expect(reader.getByRole('heading', { level: 1 })).toHaveText('Choose a new password');
    await expectLogin(intruder);
    await password(reader).fill(NEW.password);
    await reader.getByRole('button', { name: 'Save and sign in' }).click();
    await expectDashboard(reader, sam);
    await expectLogin(page);
    await signIn(page, NEW);
  });
}

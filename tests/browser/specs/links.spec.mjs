import {
  answerOf, createOwner, expect, expectDashboard, expectLogin, navigations, test,
} from '../lib/test.mjs';

const link = (server, path) => `<a href="${server.origin}${path}">To Sessile</a>`;

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? 'a link on another site' : 'a link on another site, without JavaScript', () => {
    test('leads to the page, still signed in', async ({ visitor, server, elsewhere }) => {
      const page = await visitor({ javaScriptEnabled });
      await createOwner(page, server);
      await page.goto(await elsewhere(link(server, '/dashboard?from=mail')));
      const paths = navigations(page, server);
      await page.getByRole('link').click();
      await expectDashboard(page);
      expect(new URL(page.url()).search).toBe('?from=mail');
      await settled(page);
      expect(paths).toEqual(['/dashboard', '/dashboard']);
    });

    test('leads to the login without going round in circles when signed out', async ({ visitor, server, elsewhere }) => {
      await createOwner(await visitor(), server);
      const page = await visitor({ javaScriptEnabled });
      await page.goto(await elsewhere(link(server, '/dashboard')));
      const paths = navigations(page, server);
      await page.getByRole('link').click();
      await expectLogin(page);
      await settled(page);
      expect(paths.at(-1)).toBe('/login');
      expect(paths.length, paths.join(' ')).toBeLessThanOrEqual(3);
      expect(new URL(page.url()).searchParams.get('next')).toBe('/dashboard');
    });
  });
}

test('a form on another site cannot sign anybody out', async ({ page, server, elsewhere, watch }) => {
  await createOwner(page, server);
  await page.goto(await elsewhere(
    `<form method="post" action="${server.origin}/logout"><button>Win a prize</button></form>`));
  watch.expectStatus(403, '/logout');
  const answer = await answerOf(page, 'POST', () => page.getByRole('button').click());
  expect(answer.status()).toBe(403);
  await page.goto('/dashboard');
  await expectDashboard(page);
});

/** Long enough for a page that wants to go on by itself to have done so. */
const settled = (page) => page.waitForTimeout(1_500);

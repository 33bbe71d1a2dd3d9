import { AxeBuilder } from '@axe-core/playwright';
import { BRAND } from '../lib/brand.mjs';
import { desktop } from '../lib/browser.mjs';
import { expect, test } from '../lib/test.mjs';
import { tour } from '../lib/tour.mjs';

test.use({ fresh: true });

/** A look at every page takes its time on a machine that is busy with something else. */
const LONG = 900_000;

/** In light and dark, on a page whose colours change at once. */
async function expectAccessible(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const { violations } = await new AxeBuilder({ page }).analyze();
    const findings = violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(' ')}: ${failureSummary}`));
    expect.soft(findings, `${name}, ${colorScheme}`).toEqual([]);
  }
}

test('every page is accessible on a desktop, and nothing moves for who asked for less motion', async ({ visitor, server, elsewhere, watch }) => {
  test.setTimeout(LONG);
  const page = await visitor({ viewport: desktop, reducedMotion: 'reduce' });
  await tour({ page, server, elsewhere, watch }, async (name) => {
    await expectStill(page, name);
    await expectAccessible(page, name);
  });
});

test('every page is accessible on a phone, and none is wider than 360 px', async ({ visitor, server, elsewhere, watch }) => {
  test.setTimeout(LONG);
  const page = await visitor({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
  await tour({ page, server, elsewhere, watch }, async (name) => {
    const { wide, has } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      has: document.documentElement.clientWidth,
    }));
    expect.soft(has, `${name}: the page uses the phone's width`).toBe(360);
    expect.soft(wide, `${name}: nothing sticks out`).toBeLessThanOrEqual(has);
    await expectAccessible(page, name);
  });
});

test.describe('under an operator\'s name', () => {
  test.use({ settings: BRAND });

  test('every page carries the name, no page says ours, and all are accessible', async ({ visitor, server, elsewhere, watch }) => {
    test.setTimeout(LONG);
    const page = await visitor({ viewport: desktop, reducedMotion: 'reduce' });
    await tour({ page, server, elsewhere, watch }, async (name) => {
      await expect.soft(page, name).toHaveTitle(new RegExp(` · ${BRAND.SESSILE_NAME}$`));
      // The settings of a proxy are the program's own.
      const words = await page.evaluate(() => {
        const text = document.body.cloneNode(true);
        for (const own of text.querySelectorAll('pre, code')) own.remove();
        return text.textContent.match(/.{0,40}sessile.{0,40}/gi) ?? [];
      });
      expect.soft(words, name).toEqual([]);
      await expectAccessible(page, name);
    });
  });
});

/** Nothing on the page moves. */
async function expectStill(page, name) {
  const moving = await page.evaluate(() => {
    const seconds = (list) => Math.max(...list.split(',').map((time) => parseFloat(time) * (time.includes('ms') ? 1e-3 : 1)));
    const found = document.getAnimations().map((animation) => `animation ${animation.animationName ?? ''}`);
    for (const element of document.querySelectorAll('body, body *')) {
      for (const part of [null, '::before', '::after']) {
        const style = getComputedStyle(element, part);
        const animated = style.animationName !== 'none' && seconds(style.animationDuration) > 0.01;
        if (animated || seconds(style.transitionDuration) > 0.01) {
          found.push(`${element.tagName.toLowerCase()}.${element.getAttribute('class') ?? ''}${part ?? ''}`);
        }
      }
    }
    return found;
  });
  expect.soft(moving, name).toEqual([]);
}

import { AxeBuilder } from '@axe-core/playwright';
import { desktop, phone } from '../lib/browser.mjs';
import { expect, test } from '../lib/test.mjs';
import { tour } from '../lib/tour.mjs';

for (const colorScheme of ['light', 'dark']) {
  for (const viewport of [phone, desktop]) {
    const where = `${colorScheme}, ${viewport.width}x${viewport.height}`;
    test(`every page is accessible (${where})`, async ({ visitor, server, elsewhere, watch }) => {
      test.slow();
      const page = await visitor({ colorScheme, viewport });
      await tour({ page, server, elsewhere, watch }, async (name) => {
        const { violations } = await new AxeBuilder({ page }).analyze();
        const findings = violations.flatMap(({ id, help, nodes }) =>
          nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(' ')}: ${failureSummary}`));
        expect.soft(findings, name).toEqual([]);
      });
    });
  }
}

test('no page is wider than a phone of 360 px', async ({ visitor, server, elsewhere, watch }) => {
  const page = await visitor({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
  await tour({ page, server, elsewhere, watch }, async (name) => {
    const { wide, has } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      has: document.documentElement.clientWidth,
    }));
    expect.soft(has, `${name}: the page uses the phone's width`).toBe(360);
    expect.soft(wide, `${name}: nothing sticks out`).toBeLessThanOrEqual(has);
  });
});

test('nothing moves for who asked for less motion', async ({ visitor, server, elsewhere, watch }) => {
  const page = await visitor({ reducedMotion: 'reduce' });
  await tour({ page, server, elsewhere, watch }, async (name) => {
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
  });
});

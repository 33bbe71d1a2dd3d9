// Uses pages with the keyboard alone.

import { expect } from '@playwright/test';

/** Presses the Tab key until `target` has the focus. Where the focus is can be seen all the way. */
export async function tabTo(page, target) {
  for (let presses = 0; presses < 40; presses += 1) {
    const { tag, seen } = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      const ring = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
      return { tag: document.activeElement.outerHTML.slice(0, 80), seen: ring || document.activeElement === document.body };
    });
    expect(seen, `the focus can be seen on ${tag}`).toBe(true);
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`not reached with the Tab key: ${target}`);
}

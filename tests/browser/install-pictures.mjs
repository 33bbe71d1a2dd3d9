// Draws what an installation shows into static/install: the icons from the mark in static/icons, and two pictures of the
// product itself. To be run after either changes: npm run install-pictures
//
// Build again afterwards: the program serves the pictures that it was built with.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from '@playwright/test';
import { desktop, launchOptions, phone } from './lib/browser.mjs';
import { Server } from './lib/server.mjs';
import { createOwner } from './lib/test.mjs';

const folder = fileURLToPath(new URL('../../static/install/', import.meta.url));
const favicon = await readFile(new URL('../../static/icons/favicon.svg', import.meta.url), 'utf8');
// The drawing without its ground, which an icon that is cut to any shape has to its edges.
const ground = /<rect[^>]*fill="(#\w+)"\/>/.exec(favicon);
const drawing = favicon.replace(ground[0], '');

const browser = await chromium.launch(launchOptions);
try {
  await icon('icon-192', 192, favicon);
  await icon('icon-512', 512, favicon);
  // All of the mark stays within a circle of 80 % of the width (W3C, Web Application Manifest, safe zone).
  await icon('maskable-512', 512, whole(0.74));
  await icon('apple-touch-icon', 180, whole(0.92));
  if (!process.argv.includes('--icons')) await pictures();
} finally {
  await browser.close();
}

function whole(scale) {
  const inset = 16 * (1 - scale);
  const svg = drawing.replace(/<g /, `<rect width="32" height="32" fill="${ground[1]}"/><g transform="translate(${inset} ${inset}) scale(${scale})"><g `);
  return svg.replace('</g>', '</g></g>');
}

async function icon(name, size, svg) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  await page.setContent(`<style>*{margin:0}svg{display:block;width:${size}px;height:${size}px}</style>${svg}`);
  await page.screenshot({ path: `${folder}${name}.png`, omitBackground: true });
  await page.close();
}

async function pictures() {
  const server = await Server.create();
  try {
    const context = await browser.newContext({ baseURL: server.origin, viewport: desktop, colorScheme: 'light', serviceWorkers: 'block' });
    const page = await context.newPage();
    await createOwner(page, server);
    for (const [name, viewport] of [['wide', desktop], ['phone', phone]]) {
      await page.setViewportSize(viewport);
      await page.reload();
      await page.locator('[data-state=ok]').waitFor();
      await page.screenshot({ path: `${folder}${name}.png`, animations: 'disabled', caret: 'hide' });
    }
  } finally {
    await server.destroy();
  }
}

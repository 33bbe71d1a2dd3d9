// Reads a QR code on a page with zbarimg, as the camera of a phone would.

import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Whether zbarimg (Debian: zbar-tools) is installed. */
export const canRead = (() => {
  try {
    execFileSync('zbarimg', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

/** The text of the code that the page shows, as it is seen with the page around it. */
export async function readQr(page) {
  const folder = await mkdtemp(join(tmpdir(), 'sessile-qr-'));
  try {
    const path = join(folder, 'page.png');
    await page.locator('svg.qr').scrollIntoViewIfNeeded();
    await page.screenshot({ path });
    const { stdout } = await run('zbarimg', ['--raw', '--quiet', '-Sdisable', '-Sqrcode.enable', path]);
    return stdout.trim();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

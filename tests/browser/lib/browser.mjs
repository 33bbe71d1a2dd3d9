// How Chromium is started: Debian's package, without background requests to other hosts. `launchOptions` starts the
// full browser. `shellOptions` starts the headless shell if it is installed, which needs half the processor time.

import { existsSync } from 'node:fs';

const SHELL = '/usr/bin/chromium-headless-shell';

export const launchOptions = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-default-apps',
    '--disable-sync',
    '--no-first-run',
    // Chromium refuses to run as root inside its sandbox.
    ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
  ],
};

export const shellOptions = process.env.CHROMIUM || !existsSync(SHELL) ? launchOptions : { ...launchOptions, executablePath: SHELL };

export const phone = { width: 390, height: 844 };
export const desktop = { width: 1280, height: 800 };

// How Chromium is started: Debian's own, quiet, and with nothing that talks to the outside by itself.

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

export const phone = { width: 390, height: 844 };
export const desktop = { width: 1280, height: 800 };

// A mail server (aiosmtpd) that keeps what it receives, for tests of the mails that people get.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@playwright/test';
import { test as base } from './test.mjs';

const PROGRAM = '/usr/bin/aiosmtpd';

export const isInstalled = existsSync(PROGRAM);

/** `test` whose server sends its mails to `mails`. */
export const test = base.extend({
  mails: async ({}, use) => {
    base.skip(!isInstalled, 'aiosmtpd is not installed: run ./scripts/tools');
    const mails = await Mails.serve();
    await use(mails);
    await mails.close();
  },

  settings: async ({ mails }, use) => use({
    SESSILE_SMTP_URL: `smtp://127.0.0.1:${mails.port}`,
    SESSILE_MAIL_FROM: 'Surfside <id@surfside.example>',
  }),
});

export class Mails {
  static async serve() {
    const mails = new Mails();
    mails.folder = await mkdtemp(join(tmpdir(), 'sessile-mails-'));
    mails.port = await freePort();
    const args = ['-n', '-l', `127.0.0.1:${mails.port}`, '-c', 'aiosmtpd.handlers.Mailbox', join(mails.folder, 'box')];
    mails.child = spawn(PROGRAM, args, { stdio: 'ignore' });
    await expect.poll(() => accepts(mails.port), { message: 'the mail server answers' }).toBe(true);
    return mails;
  }

  /** Waits for the one mail to this address whose text contains `words`, and returns its text. */
  async to(address, words) {
    let found = [];
    const search = async () => {
      found = (await this.#all()).filter((mail) => mail.includes(`To: ${address}`) && mail.includes(words));
      return found.length;
    };
    await expect.poll(search, { message: `a mail to ${address}: ${words}` }).toBe(1);
    return found[0];
  }

  async #all() {
    const folder = join(this.folder, 'box', 'new');
    const names = await readdir(folder).catch(() => []);
    const mails = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
    // Soft line breaks and the equals sign are all that has to be decoded in plain English words and links.
    return mails.map((mail) => mail.replace(/=\r?\n/g, '').replaceAll('=3D', '='));
  }

  async close() {
    this.child.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The path of the one-time link in a mail. */
export const linkIn = (mail) => /\/link\/[\w-]{43}/.exec(mail)[0];

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

const accepts = (port) => new Promise((done) => {
  const socket = connect(port, '127.0.0.1', () => { socket.destroy(); done(true); });
  socket.once('error', () => done(false));
});

// A real nginx. Of the configurations that it gets, only the addresses of this machine and the folder of the
// certificates are changed.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const program = process.env.NGINX ?? '/usr/sbin/nginx';

export const isInstalled = existsSync(program);

/** Where nginx listens for https and http, instead of at ports 443 and 80. */
export const PORTS = { https: 8443, http: 8480 };

export class Nginx {
  log = '';

  /** Starts nginx at `address` with `sites`, the text of its server blocks. `certificates` is used for `/etc/ssl`. */
  static async start(sites, address, certificates) {
    const nginx = new Nginx();
    nginx.folder = await mkdtemp(join(tmpdir(), 'sessile-nginx-'));
    const text = sites
      .replaceAll('listen 443 ', `listen ${address}:${PORTS.https} `)
      .replaceAll('listen 80;', `listen ${address}:${PORTS.http};`)
      .replaceAll('/etc/ssl/', `${certificates}/`);
    const file = join(nginx.folder, 'nginx.conf');
    await writeFile(file, nginx.#frame(text));
    nginx.child = spawn(program, ['-c', file, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] });
    nginx.child.stderr.on('data', (data) => { nginx.log += data; });
    nginx.exited = new Promise((done) => {
      nginx.child.once('exit', (code, signal) => done({ code, signal }));
      nginx.child.once('error', (error) => done({ error }));
    });
    await nginx.#untilListening(address);
    return nginx;
  }

  /** The file that a distribution's nginx would include the sites from. */
  #frame(sites) {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${this.folder}/${kind};`);
    return `daemon off; master_process off; pid ${this.folder}/nginx.pid; error_log stderr; events {}
      http { access_log off; ${temporary.join(' ')}\n${sites}\n}`;
  }

  async #untilListening(address) {
    const deadline = Date.now() + 20_000;
    while (!(await isOpen(address))) {
      const ended = await Promise.race([this.exited, new Promise((go) => { setTimeout(go, 20); })]);
      if (ended || Date.now() > deadline) {
        await this.stop();
        throw new Error(`nginx does not listen (${JSON.stringify(ended)}):\n${this.log}`);
      }
    }
  }

  async stop() {
    this.child.kill('SIGTERM');
    await this.exited;
    await rm(this.folder, { recursive: true, force: true });
  }
}

const isOpen = (host) =>
  new Promise((done) => {
    const socket = connect({ host, port: PORTS.https });
    socket.once('connect', () => { socket.destroy(); done(true); });
    socket.once('error', () => done(false));
  });

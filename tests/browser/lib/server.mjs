// The real program in a folder of its own, started as an operator would start it. It can be killed and started again
// with the same folder, port and database.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('..', import.meta.url));
const binary = resolve(here, process.env.SESSILE_BIN ?? '../../target/debug/sessile');
const run = promisify(execFile);

const LISTENING = /^sessile: listening on http:\/\/[^\s]+:(\d+)$/m;
const SETUP_LINK = /^sessile: create the owner at (http\S+)$/m;

export class Server {
  port = 0;
  setupLink = null;
  hasOwner = false;
  /** More settings, by variable. */
  settings = {};
  log = '';

  /** Called before the server or its database becomes unavailable on purpose. */
  onOutage = () => {};

  /** Creates an installation whose owner is `owner`, and returns its folder, which `create` copies. */
  static async template(owner) {
    const server = new Server();
    server.folder = await mkdtemp(join(tmpdir(), 'sessile-template-'));
    const adding = server.command('user', 'add', '--email', owner.email, '--name', owner.name, '--role', 'owner', '--password-stdin');
    adding.child.stdin.end(owner.password);
    await adding;
    return server.folder;
  }

  /**
   * Starts a new installation on `sqlite` or `postgres` and waits until it answers. `publicUrl` is its public address, if
   * it differs. The installation is empty, or on SQLite a copy of the folder `template`. `settings` are further variables
   * of its environment.
   */
  static async create(engine = 'sqlite', publicUrl = null, template = null, settings = {}) {
    const server = new Server();
    server.publicUrl = publicUrl;
    server.settings = settings;
    server.folder = await mkdtemp(join(tmpdir(), 'sessile-browser-'));
    try {
      if (engine === 'postgres') await server.#createDatabase();
      else if (template) {
        await cp(template, server.folder, { recursive: true });
        server.hasOwner = true;
      }
      await server.start();
    } catch (error) {
      await server.destroy();
      throw error;
    }
    return server;
  }

  /** The origin that the browser uses. */
  get origin() {
    return this.publicUrl ?? `http://localhost:${this.port}`;
  }

  /** Starts the server, on the same port as before if it ran before. */
  async start() {
    const child = spawn(binary, ['serve'], { cwd: this.folder, env: this.#environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    this.exited = new Promise((done) => {
      child.once('exit', (code, signal) => done({ code, signal }));
      child.once('error', (error) => done({ error }));
    });
    let stdout = '';
    child.stdout.on('data', (data) => { stdout += data; this.log += data; });
    child.stderr.on('data', (data) => { this.log += data; });

    const first = this.port === 0;
    await this.#until('listening', async () => {
      const listening = LISTENING.exec(stdout);
      if (listening) this.port = Number(listening[1]);
      const link = SETUP_LINK.exec(stdout);
      if (link) this.setupLink = link[1];
      return listening && (link || this.hasOwner || !first) && this.#answers();
    });
  }

  /**
   * The server must not inherit settings of the shell that runs the tests. An unknown SESSILE_ variable would stop the
   * start.
   */
  #environment() {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(SESSILE_|DATABASE_URL$)/.test(name));
    const env = { ...Object.fromEntries(inherited), SESSILE_LISTEN: `127.0.0.1:${this.port}`, SESSILE_SIGNUP: 'open', ...this.settings };
    if (this.publicUrl) env.SESSILE_PUBLIC_URL = this.publicUrl;
    if (this.database) env.DATABASE_URL = this.database.url;
    return env;
  }

  /** Runs a command of the program with the server's settings, as its operator would. */
  command(...args) {
    const running = run(binary, args, { cwd: this.folder, env: this.#environment() });
    return Object.assign(running.then(({ stdout }) => stdout), { child: running.child });
  }

  async #answers() {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.port}/login`, { redirect: 'manual' });
      return answer.status < 500;
    } catch {
      return false;
    }
  }

  async #until(what, condition) {
    const deadline = Date.now() + 20_000;
    for (;;) {
      if (await condition()) return;
      const ended = await Promise.race([this.exited, new Promise((go) => setTimeout(go, 50))]);
      if (ended) throw new Error(`${binary} ended (${JSON.stringify(ended)}):\n${this.log}`);
      if (Date.now() > deadline) throw new Error(`${binary} is not ${what} after 20 s:\n${this.log}`);
    }
  }

  /** Kills the server, so that no shutdown code runs. */
  async kill() {
    this.onOutage();
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Shuts the server down with SIGINT, which skips the wait for a load balancer. Resolves to how the process ended. */
  async stop() {
    if (!this.child) return null;
    this.child.kill('SIGINT');
    const impatience = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    const ended = await this.exited;
    clearTimeout(impatience);
    return ended;
  }

  /** Stops the server and removes its folder and database. */
  async destroy() {
    const ended = await this.stop();
    if (this.database) await this.#sql(`DROP DATABASE IF EXISTS ${this.database.name} WITH (FORCE)`);
    await rm(this.folder, { recursive: true, force: true });
    return ended;
  }

  async #createDatabase() {
    const name = `browser_${process.pid}_${Date.now()}`;
    await this.#sql(`CREATE DATABASE ${name}`);
    const url = new URL(process.env.SESSILE_TEST_POSTGRES);
    url.pathname = `/${name}`;
    this.database = { name, url: url.href };
  }

  /** Makes the database unavailable (PostgreSQL only): ends its connections and refuses new ones. */
  async unplugDatabase() {
    this.onOutage();
    await this.#sql(`ALTER DATABASE ${this.database.name} ALLOW_CONNECTIONS false`);
    await this.#sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${this.database.name}'`);
  }

  /** Makes the database available again. */
  async replugDatabase() {
    await this.#sql(`ALTER DATABASE ${this.database.name} ALLOW_CONNECTIONS true`);
  }

  async #sql(statement) {
    await run('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', statement, process.env.SESSILE_TEST_POSTGRES]);
  }
}

/** Starts another site, with one page made of `body`. It is on 127.0.0.1, while Sessile is on localhost. */
export async function otherSite(body) {
  const { createServer } = await import('node:http');
  const site = createServer((_, answer) => {
    answer.setHeader('Content-Type', 'text/html; charset=utf-8');
    answer.end(`<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Elsewhere</title><body>${body}`);
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  return {
    origin: `http://127.0.0.1:${site.address().port}`,
    close: () => new Promise((done) => { site.closeAllConnections(); site.close(done); }),
  };
}

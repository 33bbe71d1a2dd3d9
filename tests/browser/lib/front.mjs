// A proxy between the browser and the server. It can cut the network, and it can serve a newer build. `next()` serves
// the same program with one file changed and everything that follows from the change: the file's name, the pages that
// refer to it, and the worker's file list and id. The old file is gone then, as after an update.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';

/** Files that only pages refer to, so that no other file changes with them. */
const FILES = { sheet: /\/static\/css\/base\.[0-9a-f]{10}\.css/, module: /\/static\/js\/times\.[0-9a-f]{10}\.js/ };
const print = (text) => createHash('sha256').update(text).digest('hex').slice(0, 10);

export class Front {
  asked = [];
  #isUp = true;
  #next = null;
  #overrides = new Map();
  #isGated = false;
  #sockets = new Set();

  static async create() {
    const front = new Front();
    front.#server = createServer((req, res) => front.#handle(req, res).catch(() => res.destroy()));
    front.#server.on('connection', (socket) => {
      if (!front.#isUp) return socket.destroy();
      front.#sockets.add(socket);
      socket.once('close', () => front.#sockets.delete(socket));
    });
    front.#server.listen(0, '127.0.0.1');
    await once(front.#server, 'listening');
    front.origin = `http://localhost:${front.#server.address().port}`;
    return front;
  }

  #server;

  /** Forwards requests to this server from now on. */
  leadTo(server) {
    this.upstream = server;
  }

  /** Cuts the network. */
  cut() {
    this.#isUp = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  restore() {
    this.#isUp = true;
  }

  /** Answers requests for `path` with `handler(req, body, pass)`; with null, forwards them again. */
  override(path, handler) {
    if (handler) this.#overrides.set(path, handler);
    else this.#overrides.delete(path);
  }

  /**
   * From now on acts as a proxy with its own sign-in: redirects every request to its sign-in page until the browser has
   * visited /gate.
   */
  demandCookie() {
    this.#isGated = true;
  }

  #gate(req, res) {
    const page = (words) => `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Gate</title><h1>${words}</h1>`;
    const html = { 'content-type': 'text/html' };
    if (req.url === '/gate') return res.writeHead(200, { ...html, 'set-cookie': 'gate=1; Path=/; HttpOnly; SameSite=Lax' }).end(page('Welcome to the gate'));
    if (req.url === '/gate-login') return res.writeHead(200, html).end(page('Sign in to the gate'));
    if (/(^|; )gate=1/.test(req.headers.cookie ?? '')) return undefined;
    return res.writeHead(302, { location: '/gate-login' }).end();
  }

  /**
   * From now on serves another build in which `changed` differs: the "sheet" or a "module". Other `words` make yet
   * another build. With `damage`, the changed file is "missing" or has "other" content.
   */
  async next(damage = null, { changed = 'sheet', words = 'another build' } = {}) {
    const worker = (await this.#pass({ method: 'GET', url: '/sw.js', headers: {} })).body.toString();
    const old = FILES[changed].exec(worker)[0];
    const sheet = `${(await this.#pass({ method: 'GET', url: old, headers: {} })).body}\n/* ${words} */\n`;
    const path = old.replace(/[0-9a-f]{10}(?=\.\w+$)/, print(sheet));
    const shell = (await this.#pass({ method: 'GET', url: '/offline', headers: {} })).body.toString().replaceAll(old, path);
    this.#next = { old, path, sheet, damage, shell };
    return this.#next;
  }

  /** Serves the program's own build again. */
  back() {
    this.#next = null;
  }

  async close() {
    this.cut();
    await new Promise((done) => { this.#server.close(done); });
  }

  async #handle(req, res) {
    const body = Buffer.concat(await req.toArray());
    this.asked.push(`${req.method} ${req.url}`);
    if (this.#isGated && this.#gate(req, res)) return;
    const override = this.#overrides.get(req.url.split('?')[0]);
    if (req.url === '/api/events') return this.#stream(req, res);
    const pass = (change = {}) => this.#pass({ method: req.method, url: req.url, headers: req.headers, body, ...change });
    const answer = (override && (await override(req, body, pass))) || this.#rewritten(req.url, this.#next && (await pass({ headers: plain(req.headers) }))) || (await pass());
    const headers = { ...answer.headers };
    delete headers['transfer-encoding'];
    headers['content-length'] = req.method === 'HEAD' ? answer.headers['content-length'] : answer.body.length;
    res.writeHead(answer.status, headers).end(answer.body);
  }

  #rewritten(url, answer) {
    if (!this.#next) return null;
    const { old, path, sheet, damage, shell } = this.#next;
    // The ETag belongs to the program's own build.
    delete answer.headers.etag;
    if (url === old) return { ...answer, status: 404, headers: { 'content-type': 'text/plain' }, body: Buffer.from('gone') };
    if (url === path) {
      const headers = { 'content-type': `text/${path.endsWith('.css') ? 'css' : 'javascript'}; charset=utf-8`, 'cache-control': 'no-cache' };
      if (damage === 'missing') return { status: 404, headers, body: Buffer.from('gone') };
      return { status: 200, headers, body: Buffer.from(damage === 'other' ? `${sheet}x` : sheet) };
    }
    const type = answer.headers['content-type'] ?? '';
    if (url === '/sw.js') return { ...answer, body: Buffer.from(this.#worker(answer.body.toString(), shell)) };
    if (type.startsWith('text/html')) return { ...answer, body: Buffer.from(answer.body.toString().replaceAll(old, path)) };
    return answer;
  }

  #worker(text, shell) {
    const [line, ...rest] = text.split('\n');
    const build = JSON.parse(line.replace(/^const BUILD = /, '').replace(/;$/, ''));
    const { old, path, sheet } = this.#next;
    delete build.files[old];
    build.files[path] = print(sheet);
    build.files['/offline'] = print(shell);
    build.id = print(JSON.stringify(build.files));
    return [`const BUILD = ${JSON.stringify(build)};`, ...rest].join('\n');
  }

  #pass({ method, url, headers, body = Buffer.alloc(0) }) {
    return new Promise((done, failed) => {
      const options = { host: '127.0.0.1', port: this.upstream.port, method, path: url, headers: { host: new URL(this.origin).host, ...headers }, agent: false };
      const sent = request(options, async (answer) => {
        try {
          done({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(await answer.toArray()) });
        } catch (error) {
          failed(error);
        }
      });
      sent.once('error', failed);
      sent.end(body);
    });
  }

  #stream(req, res) {
    const options = { host: '127.0.0.1', port: this.upstream.port, path: req.url, headers: req.headers, agent: false };
    const sent = request(options, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.on('error', () => res.destroy());
      answer.pipe(res);
    });
    sent.once('error', () => res.destroy());
    res.once('close', () => sent.destroy());
    sent.end();
  }
}

const plain = (headers) => {
  const { 'accept-encoding': _, 'if-none-match': __, ...rest } = headers;
  return rest;
};

// Watches every page of a test. A console error, an uncaught exception, a violation of the Content-Security-Policy or a
// request to a foreign origin fails the test.

// What an open page asks for by itself. A session that ends elsewhere meanwhile is rightly answered 401, and the page then
// leaves, which cases look at.
const IN_THE_BACKGROUND = new Set(['session', 'session/sync', 'sessions', 'devices', 'drafts', 'events'].map((name) => `/api/${name}`));

const FAILED_LOAD = /^Failed to load resource: the server responded with a status of (\d+) /;

export class Watch {
  #seen = [];
  #deliberate = [];
  #away = new Set();
  #outages = new Set();
  #allowed = new Set();
  #origins = new Set();
  #messages = [];

  /** Allows requests to this origin. */
  allowOrigin(origin) {
    this.#origins.add(origin);
  }

  /**
   * Expects the next navigation to `path` to fail with `status`, or with one of several. Chromium reports a failed page
   * load in the console; that report is ignored once, if status and address match.
   */
  expectStatus(status, path) {
    this.#deliberate.push({ status, path });
  }

  /** Allows network failures at this path from now on, because the server is unavailable for a while. */
  allowFailures(path) {
    this.#away.add(path);
  }

  /**
   * Allows what an outage of this origin causes: network failures and 503, wherever a page asks. Chromium may report them
   * when the server is back already.
   */
  allowOutage(origin) {
    this.#outages.add(origin);
  }

  /** Allows answers with this status at these paths from now on. */
  allowStatus(status, paths) {
    for (const path of paths) this.#allowed.add(`${status} ${path}`);
  }

  /** Allows console messages that match this pattern. */
  allowMessage(pattern) {
    this.#messages.push(pattern);
  }

  async attach(context) {
    context.on('console', (message) => this.#console(message));
    context.on('weberror', (error) => this.#add(`uncaught: ${error.error()?.stack ?? error.error()}`));
    context.on('request', (request) => this.#request(request));
    await context.exposeBinding('__violation', (_, violation) => this.#add(`content security policy: ${violation}`));
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        const where = `${event.sourceFile || event.documentURI}:${event.lineNumber}`;
        globalThis.__violation(`${event.effectiveDirective} blocked ${event.blockedURI} at ${where}`);
      }, true);
    });
  }

  problems() {
    return this.#seen;
  }

  #console(message) {
    if (message.type() !== 'error' || this.#messages.some((pattern) => pattern.test(message.text()))) return;
    if (message.text().includes('net::ERR_') && this.#mayBeAway(new URL(message.location().url))) return;
    const failed = FAILED_LOAD.exec(message.text());
    if (failed) {
      const url = new URL(message.location().url);
      if (this.#isAllowed(failed[1], url) && this.#origins.has(url.origin)) return;
      const meant = this.#deliberate.findIndex(({ status, path }) =>
        [status].flat().includes(Number(failed[1])) && path === url.pathname && this.#origins.has(url.origin));
      if (meant >= 0) {
        this.#deliberate.splice(meant, 1);
        return;
      }
    }
    this.#add(`console: ${message.text()} (${message.location().url}:${message.location().lineNumber})`);
  }

  #mayBeAway(url) {
    return this.#away.has(url.pathname) || this.#outages.has(url.origin);
  }

  #isAllowed(status, url) {
    if (status === '401' && IN_THE_BACKGROUND.has(url.pathname)) return true;
    if (status === '503' && this.#outages.has(url.origin)) return true;
    return this.#allowed.has(`${status} ${url.pathname}`);
  }

  #request(request) {
    const url = new URL(request.url());
    if (/^https?:$/.test(url.protocol) && !this.#origins.has(url.origin)) this.#add(`request to ${request.url()}`);
  }

  #add(finding) {
    this.#seen.push(finding);
  }
}

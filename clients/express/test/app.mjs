// A real app: Express with express-session and its memory store, and WebSockets.

import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { createRequire } from 'node:module'

import express from 'express'
import session from 'express-session'

import { APP_ID, AUDIENCE, SECRET } from './sessile.mjs'

const { sessile } = createRequire(import.meta.url)('../index.js')

export class App {
  lines = []
  store = new session.MemoryStore()
  waiting = []

  static async start(issuer, more = {}) {
    const app = new App()
    app.guard = sessile({
      issuer,
      audience: AUDIENCE,
      appId: APP_ID,
      secret: SECRET,
      store: app.store,
      log: (line) => app.lines.push(line),
      ...more
    })
    app.server = createServer(app.#routes())
    app.server.on('upgrade', (req, socket) => app.#upgrade(req, socket))
    app.server.listen(0, '127.0.0.1')
    await once(app.server, 'listening')
    app.address = `http://127.0.0.1:${app.server.address().port}`
    return app
  }

  #routes() {
    const app = express()
    app.use(session({ secret: 'cookies', resave: false, saveUninitialized: false, store: this.store }))
    app.use(this.guard)
    app.get('/', (req, res) => res.json({ userId: req.session.userId, sessile: req.sessile, basket: req.session.basket }))
    app.get('/put', (req, res) => {
      req.session.basket = req.query.basket
      res.json({})
    })
    app.get('/slow', (req, res) => {
      req.session.basket = 'late'
      this.waiting.push(() => res.json({}))
    })
    app.get('/events', (req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(': hello\n\n')
      this.guard.closeWithSession(req, res)
    })
    return app
  }

  async #upgrade(req, socket) {
    try {
      const who = await this.guard.identify(req)
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      this.guard.closeWithSession(who, socket)
    } catch {
      socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
    }
  }

  stop() {
    this.guard.close()
    this.server.closeAllConnections()
    this.server.close()
  }

  async get(path, assertion, cookie) {
    const headers = {}
    if (assertion !== undefined) headers['X-Sessile-Assertion'] = assertion
    if (cookie) headers.Cookie = cookie
    const answer = await fetch(this.address + path, { headers })
    const text = await answer.text()
    const body = text.startsWith('{') ? JSON.parse(text) : text
    return { status: answer.status, headers: answer.headers, body, cookie: answer.headers.getSetCookie()[0]?.split(';')[0] }
  }

  /** Opens a WebSocket and returns the client's socket. */
  async open(assertion) {
    const headers = { Connection: 'Upgrade', Upgrade: 'websocket', 'X-Sessile-Assertion': assertion }
    const asked = request(`${this.address}/ws`, { headers }).end()
    const [answer, socket] = await Promise.race([once(asked, 'upgrade'), once(asked, 'response')])
    return { status: answer.statusCode, socket }
  }

  async stored() {
    return Object.values(this.store.sessions).map((text) => JSON.parse(text))
  }
}

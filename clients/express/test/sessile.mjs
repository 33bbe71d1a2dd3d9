// What Sessile offers an app, written from the contract: keys, assertions, the feed of ends, and `living`.

import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'

export const AUDIENCE = 'https://shop.example.com'
export const APP_ID = 'app_1'
export const SECRET = 'secret-of-the-app'

export class Sessile {
  keys = [makeKey()]
  keyRequests = 0
  feeds = new Set()
  feedRequests = []
  livingQuestions = []
  living = () => []
  events = []
  away = false
  maxAge = 300

  static async start() {
    const sessile = new Sessile()
    sessile.server = createServer((req, res) => sessile.#answer(req, res))
    sessile.server.listen(0, '127.0.0.1')
    await once(sessile.server, 'listening')
    sessile.issuer = `http://127.0.0.1:${sessile.server.address().port}`
    return sessile
  }

  stop() {
    this.cut()
    this.server.closeAllConnections()
    this.server.close()
  }

  /** Cuts all feeds, as a restarted server does. */
  cut() {
    for (const res of this.feeds) res.destroy()
    this.feeds.clear()
  }

  /** An assertion with these changes. `key` signs it, `header` and `claims` replace what is in it. */
  assertion({ key = this.keys[0], header = {}, claims = {} } = {}) {
    const now = Math.floor(Date.now() / 1000)
    const head = { alg: 'ES256', typ: 'JWT', kid: key.kid, ...header }
    const body = {
      iss: this.issuer,
      aud: AUDIENCE,
      sub: 'acc_kim',
      email: 'kim@example.com',
      name: 'Kim ✓',
      role: 'member',
      groups: ['staff'],
      sid: 'ses_1',
      auth_time: now - 60,
      amr: ['pwd'],
      iat: now,
      exp: now + 60,
      ...claims
    }
    const signed = [head, body].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    const signature = sign('sha256', Buffer.from(signed), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
    return `${signed}.${signature.toString('base64url')}`
  }

  /** Ends a session: every feed hears of it, now or when it resumes. */
  end(sid, reason = 'logged-out') {
    const id = String(this.events.length + 1)
    const data = { sid, sub: 'acc_kim', reason, at: new Date().toISOString() }
    this.events.push(`event: ended\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`)
    for (const res of this.feeds) res.write(this.events.at(-1))
  }

  /** Forgets what ended until now, as after 24 h. */
  forget() {
    this.forgotten = this.events.length
  }

  #answer(req, res) {
    if (this.away) return res.writeHead(503, { 'Retry-After': '5' }).end()
    if (req.url === '/.well-known/jwks.json') return this.#jwks(res)
    if (req.headers.authorization !== `Bearer ${SECRET}`) return res.writeHead(401).end()
    if (req.url === `/api/apps/${APP_ID}/ends`) return this.#feed(req, res)
    if (req.url === `/api/apps/${APP_ID}/living` && req.method === 'POST') return this.#living(req, res)
    res.writeHead(404).end()
  }

  #jwks(res) {
    this.keyRequests += 1
    const keys = this.keys.map(({ publicKey, kid }) => ({ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }))
    res.setHeader('Cache-Control', `public, max-age=${this.maxAge}`)
    res.end(JSON.stringify({ keys }))
  }

  #feed(req, res) {
    const last = req.headers['last-event-id']
    this.feedRequests.push(last)
    res.writeHead(200, { 'Content-Type': 'text/event-stream' })
    res.write(': hello\n\n')
    if (last !== undefined && Number(last) < (this.forgotten ?? 0)) {
      res.write(`event: reset\nid: ${this.events.length}\ndata: {}\n\n`)
    } else if (last !== undefined) {
      for (const event of this.events.slice(Number(last))) res.write(event)
    }
    this.feeds.add(res)
    res.once('close', () => this.feeds.delete(res))
  }

  async #living(req, res) {
    let text = ''
    for await (const part of req) text += part
    const { sids } = JSON.parse(text)
    this.livingQuestions.push(sids)
    res.setHeader('Content-Type', 'application/json')
    res.end(JSON.stringify({ living: this.living(sids) }))
  }
}

export function makeKey(curve = 'P-256') {
  const pair = generateKeyPairSync('ec', { namedCurve: curve })
  const kid = createHash('sha256').update(JSON.stringify(pair.publicKey.export({ format: 'jwk' }))).digest('base64url')
  return { ...pair, kid }
}

/** Waits until this holds. */
export async function until(holds, what) {
  const started = performance.now()
  while (!(await holds())) {
    if (performance.now() - started > 5_000) throw new Error(`still not: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return performance.now() - started
}

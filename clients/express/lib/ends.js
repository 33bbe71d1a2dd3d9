'use strict'

const { readFeed } = require('./feed')
const { called, neverSave } = require('./session')

/** How long an end is remembered, in ms: longer than an assertion is valid with the largest tolerance. */
const REMEMBERED = 10 * 60_000
/** Ends remembered at most. */
const MOST_ENDS = 100_000
/** Ids that Sessile takes in one question. */
const MOST_ASKED = 1_000
/** Sessions of express-session kept for one of Sessile's. A client that sends no cookie makes a new one each time. */
const MOST_STORED = 100
/** How long a WebSocket has to close by itself, in ms. */
const POLITE = 500
/** How long to wait for a store or for onEnd, in ms. */
const PATIENCE = 5_000

/**
 * What this process holds of each of Sessile's sessions, and what it does when one ends: destroys the sessions of
 * express-session, closes the connections, and refuses assertions of the ended session.
 */
class Ends {
  #settings
  #stop = new AbortController()
  /** sid → { stores: Map of session id → store, requests: Set, connections: Set } */
  #held = new Map()
  /** sid → when it ended, oldest first */
  #ended = new Map()

  constructor(settings) {
    this.#settings = settings
  }

  start() {
    if (!this.#hasFeed) return
    const handlers = { ended: (end) => this.end(end), reset: () => this.#askLiving() }
    readFeed(this.#settings, handlers, this.#stop.signal)
  }

  close() {
    this.#stop.abort()
  }

  get #hasFeed() {
    return this.#settings.appId !== undefined
  }

  hasEnded(sid) {
    return this.#ended.has(sid)
  }

  remember(sid, req) {
    if (!this.#hasFeed) return
    const held = this.#of(sid)
    held.stores.set(req.sessionID, req.sessionStore)
    held.requests.add(req)
    if (held.stores.size > MOST_STORED) {
      const [oldest, store] = held.stores.entries().next().value
      held.stores.delete(oldest)
      store.destroy(oldest, () => {})
    }
  }

  forgetRequest(sid, req) {
    this.#held.get(sid)?.requests.delete(req)
  }

  /** Closes this connection when the session ends. Returns the function that takes it off the list. */
  closeWith(sid, connection) {
    if (!this.#hasFeed) throw new TypeError('sessile-express: closeWithSession needs appId and secret')
    if (this.hasEnded(sid)) {
      closeNow(connection)
      return () => {}
    }
    const connections = this.#of(sid).connections
    connections.add(connection)
    const remove = () => connections.delete(connection)
    connection.once?.('close', remove)
    return remove
  }

  /**
   * Ends everything of this session. Closes its connections at once. Returns when its sessions are destroyed
   * and onEnd has returned, or when they took too long. Never fails: an end that cannot be handled must not hold up the next one.
   */
  async end(end) {
    this.#noteEnd(end.sid)
    const held = this.#held.get(end.sid)
    this.#held.delete(end.sid)
    if (held) {
      for (const req of held.requests) neverSave(req)
      for (const connection of held.connections) closeNow(connection)
      held.connections.clear()
      await Promise.all([...held.stores].map(([id, store]) => this.#destroy(id, store)))
    }
    if (this.#settings.onEnd) {
      const call = async () => this.#settings.onEnd(end)
      await limited(call()).catch((error) => this.#settings.log(`onEnd failed: ${error?.message ?? error}`))
    }
  }

  async #destroy(id, store) {
    try {
      await limited(called((done) => store.destroy(id, done)))
    } catch (error) {
      this.#settings.log(`a session could not be destroyed: ${error?.message ?? error}`)
    }
  }

  #of(sid) {
    let held = this.#held.get(sid)
    if (!held) {
      held = { stores: new Map(), requests: new Set(), connections: new Set() }
      this.#held.set(sid, held)
    }
    return held
  }

  #noteEnd(sid) {
    const now = Date.now()
    this.#ended.delete(sid)
    this.#ended.set(sid, now)
    for (const [oldest, at] of this.#ended) {
      if (this.#ended.size <= MOST_ENDS && now - at < REMEMBERED) break
      this.#ended.delete(oldest)
    }
  }

  /** The feed does not go back far enough: asks which of the sessions that we know still live. */
  async #askLiving() {
    await this.#rememberStored()
    const known = [...this.#held.keys()]
    for (let from = 0; from < known.length; from += MOST_ASKED) {
      const sids = known.slice(from, from + MOST_ASKED)
      const living = new Set(await this.#living(sids))
      const gone = sids.filter((sid) => !living.has(sid))
      await Promise.all(gone.map((sid) => this.end({ sid, reason: 'unknown' })))
    }
  }

  /** Sessions in the store that this process has not seen, where the store can list them. */
  async #rememberStored() {
    const { store } = this.#settings
    if (!store?.all) return
    const all = (await limited(called((done) => store.all(done)))) ?? []
    const entries = Array.isArray(all) ? all.map((session) => [session.id, session]) : Object.entries(all)
    for (const [id, session] of entries) {
      if (id && session?.sessile?.sid) this.#of(session.sessile.sid).stores.set(id, store)
    }
  }

  async #living(sids) {
    const { address, appId, secret } = this.#settings
    const answer = await fetch(new URL(`/api/apps/${encodeURIComponent(appId)}/living`, address), {
      method: 'POST',
      redirect: 'error',
      headers: { Authorization: `Bearer ${secret}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ sids }),
      signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(10_000)])
    })
    if (!answer.ok) throw new Error(`living: status ${answer.status}`)
    return (await answer.json()).living
  }
}

/** A function, a WebSocket of `ws`, a socket, or a response. */
/** Waits for this, but not for ever. */
async function limited(work) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE / 1_000} s`)), PATIENCE)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function closeNow(connection) {
  try {
    if (typeof connection === 'function') connection()
    else if (typeof connection.terminate === 'function') {
      connection.close(1008, 'session ended')
      setTimeout(() => connection.terminate(), POLITE).unref()
    } else connection.destroy()
  } catch {
    // It is closed already.
  }
}

module.exports = { Ends, REMEMBERED }

'use strict'

const { createPublicKey } = require('node:crypto')

/** How long keys are used without asking again, where Sessile does not say. */
const DEFAULT_AGE = 300
/** An unknown key makes us ask again, but no more often than this, in seconds. */
const SHORTEST_AGE = 5
const TIMEOUT = 5_000
const LARGEST = 64 * 1024

/**
 * Returns the function that finds a key by its id. Keys that are known stay in use while Sessile cannot be reached.
 */
function keySet({ address }) {
  let keys = new Map()
  let askedAt = -Infinity
  let freshUntil = -Infinity
  let asking

  async function ask() {
    askedAt = seconds()
    const answer = await fetch(new URL('/.well-known/jwks.json', address), {
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT)
    })
    const text = await answer.text()
    if (!answer.ok || text.length > LARGEST) throw new Error(`jwks.json: status ${answer.status}`)
    keys = parsed(JSON.parse(text))
    const age = /max-age=(\d+)/.exec(answer.headers.get('cache-control') ?? '')?.[1]
    freshUntil = askedAt + Math.max(SHORTEST_AGE, Number(age ?? DEFAULT_AGE))
  }

  return async function (kid) {
    const mayAsk = seconds() - askedAt >= SHORTEST_AGE
    const wanted = !keys.has(kid) || seconds() >= freshUntil
    if (wanted && (mayAsk || asking)) {
      asking ??= ask().finally(() => (asking = undefined))
      try {
        await asking
      } catch (error) {
        if (!keys.has(kid)) throw unavailable(error)
      }
    } else if (keys.size === 0) {
      throw unavailable(new Error('jwks.json could not be read'))
    }
    return keys.get(kid)
  }
}

function parsed(document) {
  const keys = new Map()
  for (const jwk of Array.isArray(document?.keys) ? document.keys : []) {
    if (jwk.kty === 'EC' && jwk.crv === 'P-256' && typeof jwk.kid === 'string') {
      keys.set(jwk.kid, createPublicKey({ key: jwk, format: 'jwk' }))
    }
  }
  return keys
}

function unavailable(error) {
  return Object.assign(new Error(error.message), { unavailable: true })
}

/** Of a clock that is never set. */
function seconds() {
  return performance.now() / 1000
}

module.exports = { keySet }

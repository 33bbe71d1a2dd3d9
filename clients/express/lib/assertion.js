'use strict'

const { verify } = require('node:crypto')

/** A request that did not come through the gate, or whose assertion is not for this app. */
class AssertionError extends Error {}

/** A larger assertion is refused before it is decoded. */
const LARGEST = 16 * 1024

/**
 * Returns the function that checks an assertion and tells who it is about. Only ES256 is accepted, whatever the
 * assertion itself says.
 */
function verifier({ issuer, audience, clockTolerance }, keys) {
  return async function (token) {
    if (typeof token !== 'string' || token === '') throw new AssertionError('X-Sessile-Assertion is missing')
    if (token.length > LARGEST) throw new AssertionError('the assertion is too large')
    const parts = token.split('.')
    if (parts.length !== 3) throw new AssertionError('the assertion is not a JWT')
    const header = decoded(parts[0])
    if (header.alg !== 'ES256' || typeof header.kid !== 'string' || header.crit !== undefined) {
      throw new AssertionError('the assertion is not signed with ES256')
    }
    const key = await keys(header.kid)
    if (!key) throw new AssertionError('the assertion is signed with an unknown key')
    const signature = Buffer.from(parts[2], 'base64url')
    const signed = Buffer.from(`${parts[0]}.${parts[1]}`)
    if (!verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature)) {
      throw new AssertionError('the signature of the assertion is wrong')
    }
    return identity(decoded(parts[1]), { issuer, audience, clockTolerance })
  }
}

function identity(claims, { issuer, audience, clockTolerance }) {
  const now = Date.now() / 1000
  if (claims.iss !== issuer) throw new AssertionError('the assertion is of another issuer')
  if (claims.aud !== audience) throw new AssertionError('the assertion is for another app')
  if (!(claims.exp + clockTolerance > now)) throw new AssertionError('the assertion has expired')
  if (!(claims.iat - clockTolerance <= now)) throw new AssertionError('the assertion is from the future')
  if (typeof claims.sub !== 'string' || typeof claims.sid !== 'string' || !claims.sub || !claims.sid) {
    throw new AssertionError('the assertion names no account or no session')
  }
  const { sub, email, name, role, groups = [], sid, amr = [] } = claims
  return Object.freeze({ sub, email, name, role, groups, sid, amr, authTime: new Date(claims.auth_time * 1000) })
}

function decoded(part) {
  let value
  try {
    value = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
  } catch {
    value = null
  }
  if (typeof value !== 'object' || value === null) throw new AssertionError('the assertion is not a JWT')
  return value
}

module.exports = { AssertionError, verifier }

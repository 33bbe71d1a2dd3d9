'use strict'

const { AssertionError, verifier } = require('./lib/assertion')
const { Ends, REMEMBERED } = require('./lib/ends')
const { keySet } = require('./lib/keys')
const { bind } = require('./lib/session')

/** An assertion is valid for this long, in seconds. */
const ASSERTION_LASTS = 60
/** An assertion that is still valid must not outlive the memory of its session's end. */
const LARGEST_TOLERANCE = REMEMBERED / 1_000 - ASSERTION_LASTS
/** Seconds after which a client may ask again when Sessile cannot be reached. */
const RETRY_AFTER = 5

/**
 * Makes the middleware. See README.md and index.d.ts.
 */
function sessile(options) {
  const settings = checked(options)
  const verify = verifier(settings, keySet(settings))
  const ends = new Ends(settings)

  async function identify(req) {
    const identity = await verify(req.headers['x-sessile-assertion'])
    if (ends.hasEnded(identity.sid)) throw new AssertionError('its session has ended')
    return identity
  }

  function middleware(req, res, next) {
    if (settings.optional && req.headers['x-sessile-assertion'] === undefined) return next()
    identify(req)
      .then(async (identity) => {
        req.sessile = identity
        if (req.session) await bind(req, res, identity, ends)
        // The session may have ended while the request waited for the store.
        if (ends.hasEnded(identity.sid)) {
          await ends.end({ sid: identity.sid, sub: identity.sub, reason: 'unknown' })
          throw new AssertionError('its session has ended')
        }
      })
      .then(
        () => next(),
        (error) => refuse(error, res, next, settings.log)
      )
  }

  middleware.identify = identify
  middleware.closeWithSession = (identity, connection) => ends.closeWith(sidOf(identity), connection)
  middleware.close = () => ends.close()
  ends.start()
  return middleware
}

function sidOf(identity) {
  const sid = identity?.sid ?? identity?.sessile?.sid
  if (!sid) throw new TypeError('sessile-express: give the request, or what identify() returned')
  return sid
}

function refuse(error, res, next, log) {
  if (error instanceof AssertionError) {
    log(`request refused: ${error.message}`)
    return problem(res, 401, 'login-required')
  }
  if (error.unavailable) {
    log(`Sessile cannot be reached: ${error.message}`)
    res.setHeader('Retry-After', String(RETRY_AFTER))
    return problem(res, 503, 'unavailable')
  }
  next(error)
}

function problem(res, status, type) {
  res.statusCode = status
  res.setHeader('Content-Type', 'application/problem+json')
  res.setHeader('Cache-Control', 'no-store')
  res.end(JSON.stringify({ type, status }))
}

function checked(options = {}) {
  for (const name of ['issuer', 'audience']) {
    if (originOf(options[name]) !== options[name]) {
      throw new TypeError(`sessile-express: ${name} must be an origin, such as https://shop.example.com`)
    }
  }
  if ((options.appId === undefined) !== (options.secret === undefined)) {
    throw new TypeError('sessile-express: give both appId and secret, or neither')
  }
  const { clockTolerance = 30 } = options
  if (!(clockTolerance >= 0 && clockTolerance <= LARGEST_TOLERANCE)) {
    throw new TypeError(`sessile-express: clockTolerance must be a number of seconds up to ${LARGEST_TOLERANCE}`)
  }
  const log = options.log ?? ((line) => console.warn(`sessile-express: ${line}`))
  return { optional: false, address: options.issuer, ...options, clockTolerance, log }
}

function originOf(value) {
  try {
    return new URL(value).origin
  } catch {
    return undefined
  }
}

module.exports = { sessile }

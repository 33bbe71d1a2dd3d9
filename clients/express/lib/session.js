'use strict'

/**
 * Binds express-session's session to the person and the session of this request. If either changed, a new session
 * begins: nothing of one person reaches another, and an id from before the sign-in is worth nothing after it.
 */
async function bind(req, res, identity, ends) {
  const { sub, sid } = identity
  const known = req.session.sessile
  if (known?.sub !== sub || known?.sid !== sid) {
    await called((done) => req.session.regenerate(done))
    req.session.sessile = { sub, sid }
    req.session.userId = sub
  }
  ends.remember(sid, req)
  res.once('close', () => ends.forgetRequest(sid, req))
}

/** From now on this request saves its session nowhere: a request under way must not bring back what has ended. */
function neverSave(req) {
  if (!req.session) return
  const save = function (done) {
    done?.()
    return this
  }
  Object.defineProperty(req.session, 'save', { configurable: true, enumerable: false, writable: true, value: save })
}

function called(start) {
  return new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))))
}

module.exports = { bind, called, neverSave }

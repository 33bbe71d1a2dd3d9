import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'

import { App } from './app.mjs'
import { Sessile, makeKey } from './sessile.mjs'

let sessile, app
before(async () => {
  sessile = await Sessile.start()
  app = await App.start(sessile.issuer)
})
after(() => {
  app.stop()
  sessile.stop()
})

test('a good assertion tells the app who asks', async () => {
  const { status, body } = await app.get('/', sessile.assertion())
  assert.equal(status, 200)
  assert.equal(body.userId, 'acc_kim')
  const { sub, email, name, role, groups, sid, amr } = body.sessile
  assert.deepEqual({ sub, email, name, role, groups, sid, amr }, {
    sub: 'acc_kim', email: 'kim@example.com', name: 'Kim ✓', role: 'member', groups: ['staff'], sid: 'ses_1', amr: ['pwd']
  })
})

const now = () => Math.floor(Date.now() / 1000)
const refused = {
  'no assertion': () => undefined,
  'an empty one': () => '',
  'no JWT': () => 'a.b.c',
  'a number for a JWT': () => 'MQ.MQ.MQ',
  'a changed claim': () => {
    const [head, , signature] = sessile.assertion().split('.')
    const body = sessile.assertion({ claims: { role: 'owner' } }).split('.')[1]
    return [head, body, signature].join('.')
  },
  'no signature': () => sessile.assertion().split('.').slice(0, 2).join('.') + '.',
  'alg none': () => sessile.assertion({ header: { alg: 'none' } }),
  'HS256 with the public key as its secret': () => {
    const key = sessile.keys[0]
    const [head, body] = sessile.assertion({ header: { alg: 'HS256' } }).split('.')
    const secret = key.publicKey.export({ format: 'pem', type: 'spki' })
    return `${head}.${body}.${createHmac('sha256', secret).update(`${head}.${body}`).digest('base64url')}`
  },
  'a key of its own': () => sessile.assertion({ header: { jwk: makeKey().publicKey.export({ format: 'jwk' }) }, key: makeKey() }),
  'an own key under a known id': () => sessile.assertion({ key: { ...makeKey(), kid: sessile.keys[0].kid } }),
  'another app': () => sessile.assertion({ claims: { aud: 'https://wiki.example.com' } }),
  'several apps': () => sessile.assertion({ claims: { aud: ['https://shop.example.com'] } }),
  'another issuer': () => sessile.assertion({ claims: { iss: 'https://evil.example' } }),
  'expired': () => sessile.assertion({ claims: { iat: now() - 200, exp: now() - 140 } }),
  'no expiry': () => sessile.assertion({ claims: { exp: undefined } }),
  'from the future': () => sessile.assertion({ claims: { iat: now() + 600, exp: now() + 660 } }),
  'no session': () => sessile.assertion({ claims: { sid: undefined } }),
  'two in one header': () => `${sessile.assertion()}, ${sessile.assertion()}`
}
for (const [what, make] of Object.entries(refused)) {
  test(`401 for ${what}`, async () => {
    const { status, body, cookie } = await app.get('/', make())
    assert.equal(status, 401)
    assert.equal(body.type, 'login-required')
    assert.equal(cookie, undefined)
  })
}

test('clocks may differ by half a minute', async () => {
  const slow = sessile.assertion({ claims: { iat: now() - 80, exp: now() - 20 } })
  const fast = sessile.assertion({ claims: { iat: now() + 20, exp: now() + 80 } })
  assert.equal((await app.get('/', slow)).status, 200)
  assert.equal((await app.get('/', fast)).status, 200)
})

test('made-up key ids do not make the app ask for keys again and again', async () => {
  const before = sessile.keyRequests
  for (let at = 0; at < 50; at += 1) {
    await app.get('/', sessile.assertion({ header: { kid: `made-up-${at}` } }))
  }
  assert.ok(sessile.keyRequests - before <= 1, `${sessile.keyRequests - before}`)
})

test('a new key is fetched, and only its users wait while Sessile is away', async () => {
  const fresh = await Sessile.start()
  const other = await App.start(fresh.issuer)
  fresh.away = true
  const refusal = await other.get('/', fresh.assertion())
  assert.equal(refusal.status, 503)
  assert.ok(Number(refusal.headers.get('retry-after')) > 0)
  assert.equal(refusal.body.type, 'unavailable')
  other.stop()

  fresh.away = false
  const third = await App.start(fresh.issuer)
  assert.equal((await third.get('/', fresh.assertion())).status, 200)
  fresh.away = true
  assert.equal((await third.get('/', fresh.assertion())).status, 200, 'known keys stay in use')
  third.stop()
  fresh.stop()
})

test('wrong options are refused at the start', async () => {
  await assert.rejects(App.start('https://id.example.com/'), TypeError)
  await assert.rejects(App.start(sessile.issuer, { audience: 'shop' }), TypeError)
  await assert.rejects(App.start(sessile.issuer, { secret: undefined }), TypeError)
})

test('with optional, a request without an assertion passes without an identity', async () => {
  const open = await App.start(sessile.issuer, { optional: true })
  const { status, body } = await open.get('/')
  assert.equal(status, 200)
  assert.equal(body.sessile, undefined)
  assert.equal((await open.get('/', 'a.b.c')).status, 401)
  open.stop()
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { afterEach, beforeEach, test } from 'node:test'

import session from 'express-session'

import { App } from './app.mjs'
import { SECRET, Sessile, until } from './sessile.mjs'

const { sessile: sessileExpress } = createRequire(import.meta.url)('../index.js')

let sessile, app
beforeEach(async () => {
  sessile = await Sessile.start()
  sessile.living = (sids) => sids
  app = await App.start(sessile.issuer)
  await until(() => sessile.feeds.size === 1, 'the feed is open')
})
afterEach(() => {
  app.stop()
  sessile.stop()
})

const as = (sid, sub = 'acc_kim') => sessile.assertion({ claims: { sid, sub } })

test('the session of the app is kept while person and session stay the same', async () => {
  const { cookie } = await app.get('/put?basket=bread', as('ses_1'))
  const { body } = await app.get('/', as('ses_1'), cookie)
  assert.equal(body.basket, 'bread')
  assert.equal(body.userId, 'acc_kim')
})

test('another person or another session begins with an empty session', async () => {
  for (const assertion of [as('ses_2', 'acc_eve'), as('ses_3')]) {
    const first = await app.get('/put?basket=bread', as('ses_1'))
    const second = await app.get('/', assertion, first.cookie)
    assert.equal(second.body.basket, undefined)
    assert.notEqual(second.cookie, first.cookie)
    const back = await app.get('/', as('ses_1'), first.cookie)
    assert.equal(back.body.basket, undefined, 'the old session is gone')
  }
})

test('an id from before the sign-in is worth nothing after it', async () => {
  const fixed = 's%3Afixed.signature'
  const { cookie } = await app.get('/', as('ses_1'), `connect.sid=${fixed}`)
  assert.ok(cookie && !cookie.includes(fixed))
})

test('an end destroys the sessions of the app and refuses the session from then on', async () => {
  const first = await app.get('/put?basket=bread', as('ses_1'))
  await app.get('/put?basket=milk', as('ses_1'))
  await app.get('/put?basket=wine', as('ses_2'))
  sessile.end('ses_1')
  await until(async () => (await app.stored()).length === 1, 'only the other session is left')
  assert.equal((await app.stored())[0].basket, 'wine')
  assert.equal((await app.get('/', as('ses_1'), first.cookie)).status, 401)
  assert.equal((await app.get('/', as('ses_2'))).status, 200)
})

test('an end closes WebSockets and streams within a second', async () => {
  const { socket } = await app.open(as('ses_1'))
  const other = await app.open(as('ses_2'))
  const stream = await fetch(`${app.address}/events`, { headers: { 'X-Sessile-Assertion': as('ses_1') } })
  const reading = stream.text().then(() => 'ended', () => 'cut')
  const closed = once(socket, 'close')
  const started = performance.now()
  sessile.end('ses_1')
  await closed
  await reading
  assert.ok(performance.now() - started < 1_000)
  assert.equal(other.socket.destroyed, false)
  assert.equal((await app.open(as('ses_1'))).status, 401)
  other.socket.destroy()
})

test('a request under way does not bring back what has ended', async () => {
  const { cookie } = await app.get('/put?basket=bread', as('ses_1'))
  const slow = app.get('/slow', as('ses_1'), cookie)
  await until(() => app.waiting.length === 1, 'the request is under way')
  sessile.end('ses_1')
  await until(async () => (await app.stored()).length === 0, 'the session is destroyed')
  app.waiting[0]()
  assert.equal((await slow).status, 200)
  assert.deepEqual(await app.stored(), [])
})

test('ends during a cut of the feed are not lost', async () => {
  for (let at = 0; at < 20; at += 1) await app.get('/put?basket=bread', as(`ses_${at}`))
  sessile.end('ses_0')
  await until(async () => (await app.stored()).length === 19, 'the first end')
  sessile.cut()
  for (let at = 1; at < 20; at += 1) sessile.end(`ses_${at}`)
  await until(async () => (await app.stored()).length === 0, 'all ends')
  assert.equal(sessile.feedRequests.at(-1), '1')
})

test('after a reset the app asks which sessions live', async () => {
  for (const sid of ['ses_1', 'ses_2', 'ses_3']) await app.get('/put?basket=bread', as(sid))
  const { socket } = await app.open(as('ses_2'))
  const closed = once(socket, 'close')
  sessile.end('ses_3')
  await until(async () => (await app.stored()).length === 2, 'the first end')
  sessile.cut()
  sessile.end('ses_2')
  sessile.forget()
  sessile.living = (sids) => sids.filter((sid) => sid !== 'ses_2')
  await until(async () => (await app.stored()).length === 1, 'the answer')
  await closed
  assert.equal((await app.get('/', as('ses_1'))).status, 200)
})

test('a new process asks about the sessions in its store, a thousand at a time', async (t) => {
  const store = new session.MemoryStore()
  for (let at = 0; at < 2_500; at += 1) {
    store.sessions[`id_${at}`] = JSON.stringify({ cookie: {}, sessile: { sub: 'acc_kim', sid: `old_${at}` } })
  }
  sessile.living = (sids) => sids.filter((sid) => sid.endsWith('7'))
  const second = await App.start(sessile.issuer, { store })
  t.after(() => second.stop())
  await until(() => Object.keys(store.sessions).length === 250, 'only the living are left')
  assert.deepEqual(sessile.livingQuestions.map((sids) => sids.length), [1_000, 1_000, 500])
})

test('a client without cookies does not make the store grow without limit', async () => {
  const assertion = as('ses_1')
  for (let at = 0; at < 150; at += 1) await app.get('/put?basket=bread', assertion)
  assert.equal((await app.stored()).length, 100)
})

test('the app hears of each end, and no line contains the secret', async () => {
  const heard = []
  const second = await App.start(sessile.issuer, { onEnd: (end) => heard.push(end), secret: 'wrong' })
  await until(() => second.lines.length > 0, 'a refused feed is reported')
  second.stop()
  const third = await App.start(sessile.issuer, { onEnd: (end) => heard.push(end) })
  await until(() => sessile.feeds.size === 2, 'its feed is open')
  sessile.end('ses_9', 'revoked')
  await until(() => heard.length === 1, 'the end')
  assert.equal(heard[0].sid, 'ses_9')
  assert.equal(heard[0].reason, 'revoked')
  const lines = [...second.lines, ...third.lines, ...app.lines].join('\n')
  assert.ok(lines.includes('status 401') && !lines.includes(SECRET) && !lines.includes('wrong'), lines)
  third.stop()
})

test('an onEnd that fails or never returns stops neither the feed nor a request', async (t) => {
  const heard = []
  const onEnd = (end) => {
    heard.push(end.sid)
    if (end.sid === 'ses_1') throw new Error('broken')
    if (end.sid === 'ses_2') return new Promise(() => {})
  }
  const second = await App.start(sessile.issuer, { onEnd })
  t.after(() => second.stop())
  await until(() => sessile.feeds.size === 2, 'its feed is open')
  const { socket } = await second.open(as('ses_3'))
  const closed = once(socket, 'close')
  for (const sid of ['ses_1', 'ses_2', 'ses_3']) sessile.end(sid)
  await closed
  assert.deepEqual(heard, ['ses_1', 'ses_2', 'ses_3'])
  assert.ok(second.lines.join('\n').includes('onEnd failed: broken'), second.lines.join('\n'))
  assert.equal((await second.get('/', as('ses_1'))).status, 401)
})

test('a store that never answers does not hold up later ends', async (t) => {
  const store = new session.MemoryStore()
  store.destroy = () => {}
  const second = await App.start(sessile.issuer, { store })
  t.after(() => second.stop())
  await until(() => sessile.feeds.size === 2, 'its feed is open')
  second.guard.closeWithSession({ sid: 'ses_1' }, () => {})
  await second.get('/put?basket=bread', as('ses_1'))
  const { socket } = await second.open(as('ses_2'))
  const closed = once(socket, 'close')
  const started = performance.now()
  sessile.end('ses_1')
  sessile.end('ses_2')
  await closed
  assert.ok(performance.now() - started < 1_000)
})

test('a feed without ends resumes from the last heartbeat', async () => {
  for (const res of sessile.feeds) res.write(':\nid: 7\n\n')
  await app.get('/', as('ses_1'))
  sessile.cut()
  await until(() => sessile.feedRequests.length === 2, 'the feed is open again')
  assert.equal(sessile.feedRequests[1], '7')
})

test('a tolerance that outlives the memory of ends is refused', () => {
  for (const clockTolerance of [541, -1, Infinity, NaN, '30 s']) {
    assert.throws(() => sessileExpress({ issuer: 'https://id.example.com', audience: 'https://shop.example.com', clockTolerance }), /clockTolerance/)
  }
  sessileExpress({ issuer: 'https://id.example.com', audience: 'https://shop.example.com', clockTolerance: 540 })
})

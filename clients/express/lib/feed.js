'use strict'

const { setTimeout: wait } = require('node:timers/promises')

/** Sessile sends a comment every 15 s. A stream that is silent for longer than this, in ms, is dead. */
const SILENCE = 40_000
const FIRST_PAUSE = 200
const LONGEST_PAUSE = 5_000
/** The pause after a refusal, which only a change of settings can mend. */
const REFUSED_PAUSE = 60_000
/** A longer event is not one of Sessile's. */
const LARGEST = 64 * 1024

/** Ends that are handled at the same time. Their connections are closed at once, while stores may take a while. */
const MOST_AT_ONCE = 1_000

/**
 * Reads the feed of ends until `signal` is aborted, and resumes it after each cut. An event counts as read once its
 * handler and those of all events before it have returned, so it is delivered at least once.
 */
async function readFeed(settings, handlers, signal) {
  const state = { last: undefined, pause: FIRST_PAUSE }
  while (!signal.aborted) {
    try {
      await readOnce(settings, handlers, state, signal)
    } catch (error) {
      if (signal.aborted) return
      settings.log(`the feed of ended sessions: ${error.message}`)
      if (error.refused) state.pause = REFUSED_PAUSE
    }
    // Apps that lost the same server do not all come back at once.
    await wait(state.pause * (0.5 + Math.random() / 2), undefined, { signal, ref: false }).catch(() => {})
    state.pause = Math.min(state.pause * 2, LONGEST_PAUSE)
  }
}

async function readOnce({ address, appId, secret }, handlers, state, signal) {
  const cut = new AbortController()
  const stop = () => cut.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  let silence = setTimeout(() => cut.abort(new Error('silent for too long')), SILENCE)
  try {
    const headers = { Accept: 'text/event-stream', Authorization: `Bearer ${secret}` }
    if (state.last !== undefined) headers['Last-Event-ID'] = state.last
    const url = new URL(`/api/apps/${encodeURIComponent(appId)}/ends`, address)
    const answer = await fetch(url, { headers, redirect: 'error', signal: cut.signal })
    if (!answer.ok) throw Object.assign(new Error(`status ${answer.status}`), { refused: answer.status === 401 || answer.status === 404 })
    // What ended before the first stream of this process is not in it.
    if (state.last === undefined) await handlers.reset()
    state.pause = FIRST_PAUSE
    // Handled in parallel: an end closes connections within a second, however long the store needs for the ends before
    // it. Ids count in the order of the stream.
    let [before, handling] = [Promise.resolve(), 0]
    for await (const event of events(answer.body, () => silence.refresh())) {
      if (event.name === 'reset') {
        await before
        await handlers.reset()
      }
      const handled = event.name === 'ended' ? handlers.ended(JSON.parse(event.data)) : undefined
      handling += 1
      before = Promise.all([before, handled]).then(() => {
        handling -= 1
        if (event.id !== undefined && !cut.signal.aborted) state.last = event.id
      })
      if (handling >= MOST_AT_ONCE) await before
    }
    await before
  } finally {
    clearTimeout(silence)
    signal.removeEventListener('abort', stop)
    cut.abort()
  }
}

/** The events of a stream in the format of server-sent events. */
async function* events(body, heard) {
  const decoder = new TextDecoder()
  let rest = ''
  let event = { data: [] }
  for await (const bytes of body) {
    heard()
    rest += decoder.decode(bytes, { stream: true })
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()
    if (rest.length > LARGEST) throw new Error('a line is too long')
    for (const line of lines) {
      if (line === '') {
        if (event.name !== undefined || event.id !== undefined || event.data.length > 0) yield { ...event, data: event.data.join('\n') }
        event = { data: [] }
        continue
      }
      const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line)
      if (field === 'event') event.name = value
      if (field === 'id') event.id = value
      if (field === 'data') event.data.push(value)
    }
  }
}

module.exports = { events, readFeed }

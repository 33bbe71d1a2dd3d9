import type { IncomingMessage, ServerResponse } from 'node:http'

/** Who asks, as Sessile says in its signed assertion. */
export interface Identity {
  /** The id of the account. It never changes. */
  readonly sub: string
  readonly email: string
  readonly name?: string
  readonly role: 'member' | 'admin' | 'owner'
  readonly groups: readonly string[]
  /** The session's name for apps. It stays the same as long as the session lives. */
  readonly sid: string
  /** How the person signed in, as in RFC 8176. */
  readonly amr: readonly string[]
  readonly authTime: Date
}

/** A session that ended. */
export interface End {
  readonly sid: string
  readonly sub?: string
  /** As Sessile says; `unknown` if the feed was away for too long to know. */
  readonly reason: string
  readonly at?: string
}

export interface Options {
  /** Sessile's public origin, such as `https://id.example.com`. */
  issuer: string
  /** This app's registered origin, such as `https://shop.example.com`. */
  audience: string
  /** The app's id. With `secret` it opens the feed of ended sessions. */
  appId?: string
  /** The secret that `sessile app add` printed. */
  secret?: string
  /** Where this process reaches Sessile. Default: `issuer`. */
  address?: string
  /** The store of express-session. With `all()` it finds sessions that ended while this process was not running. */
  store?: object
  /** Let requests without an assertion through, without `req.sessile`: for public paths. Default: false. */
  optional?: boolean
  /** Seconds by which this machine's clock may differ from Sessile's, at most 540. Default: 30. */
  clockTolerance?: number
  /** Called after each end, for what this package does not know of. A failure is logged; it is not called again. */
  onEnd?: (end: End) => unknown
  /** Where lines about faults go. Default: `console.warn`. */
  log?: (line: string) => void
}

/** Something that is closed when the session ends: a WebSocket of `ws`, a socket, a response, or a function. */
export type Closable = { destroy(): unknown } | { close(code?: number, reason?: string): unknown; terminate(): unknown } | (() => unknown)

export interface Middleware {
  (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void
  /** Verifies the assertion of a request that no middleware sees, such as the upgrade to a WebSocket. */
  identify(req: IncomingMessage): Promise<Identity>
  /** Closes the connection when the session ends. Returns the function that takes it off the list. */
  closeWithSession(who: Identity | IncomingMessage, connection: Closable): () => void
  /** Closes the feed. */
  close(): void
}

export function sessile(options: Options): Middleware

declare module 'http' {
  interface IncomingMessage {
    /** Set by the middleware. */
    sessile?: Identity
  }
}

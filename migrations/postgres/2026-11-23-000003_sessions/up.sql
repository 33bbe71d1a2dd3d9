-- A session, from login until 30 days after its end, so that its browser can be told why it ended. Only the SHA-256 of
-- the key's secret part is stored. expires_at is the earlier of the idle and the absolute expiry.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    secret_hash BYTEA NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device_id TEXT REFERENCES devices (id) ON DELETE SET NULL,
    created_at TIMESTAMPTZ NOT NULL,
    authenticated_at TIMESTAMPTZ NOT NULL,
    last_activity TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    absolute_expires_at TIMESTAMPTZ NOT NULL,
    ip TEXT,
    browser TEXT NOT NULL,
    os TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('desktop', 'phone', 'tablet', 'other')),
    installed BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    state JSONB NOT NULL,
    data TEXT NOT NULL,
    ended_at TIMESTAMPTZ,
    ended_reason TEXT CHECK (ended_reason IN ('expired', 'revoked', 'logged-out', 'replaced', 'password-changed', 'account-disabled')),
    ended_by TEXT,
    used_after_end_at TIMESTAMPTZ,
    CHECK (expires_at <= absolute_expires_at),
    CHECK ((ended_at IS NULL) = (ended_reason IS NULL))
);
CREATE INDEX sessions_account ON sessions (account_id, last_activity) WHERE ended_at IS NULL;
CREATE INDEX sessions_device ON sessions (device_id);
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

-- One browser of one account. The browser holds a secret; this table holds only its SHA-256.
CREATE TABLE devices (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    secret_hash BYTEA NOT NULL,
    name TEXT NOT NULL,
    browser TEXT NOT NULL,
    os TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('desktop', 'phone', 'tablet', 'other')),
    installed BOOLEAN NOT NULL,
    first_seen TIMESTAMPTZ NOT NULL,
    last_seen TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX devices_account_secret ON devices (account_id, secret_hash);
CREATE INDEX devices_secret ON devices (secret_hash);

-- Each table of an account has account_id first in its primary key, and no unique index or foreign key lacks it, so that
-- the database can be distributed by account. SQLite changes no primary key: the tables are made anew.

-- Look-up tables find the account of other ids. Each is keyed by the other id alone, and has no foreign key: in a
-- distributed database its rows and the account's are on different machines.
-- An e-mail address belongs to one account.
CREATE TABLE account_of_email (
    email_key TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL
) STRICT;
INSERT INTO account_of_email (email_key, account_id) SELECT email_key, id FROM accounts;
DROP INDEX accounts_email_key;
CREATE INDEX accounts_email_key ON accounts (email_key);

-- The secret that a device's browser keeps, hashed as in devices.secret_hash.
CREATE TABLE account_of_device_secret (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL
) STRICT;
INSERT INTO account_of_device_secret (secret_hash, account_id)
    SELECT secret_hash, min(account_id) FROM devices GROUP BY secret_hash;

-- Session keys from before this migration do not name their account. These are the ids in such keys; a row goes with its
-- session. Later keys are never in here.
CREATE TABLE account_of_session (
    session_id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL
) STRICT;
INSERT INTO account_of_session (session_id, account_id)
    SELECT id, account_id FROM sessions UNION SELECT id, account_id FROM former_keys;

CREATE TABLE new_devices (
    id TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    secret_hash BLOB NOT NULL,
    name TEXT NOT NULL,
    browser TEXT NOT NULL,
    os TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('desktop', 'phone', 'tablet', 'other')),
    installed INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    proved_at INTEGER,
    acknowledged_at INTEGER,
    app_version TEXT,
    sync_noted_at INTEGER,
    forgotten_at INTEGER,
    previous_secret_hash BLOB,
    PRIMARY KEY (account_id, id)
) STRICT;
INSERT INTO new_devices (id, account_id, secret_hash, name, browser, os, kind, installed, first_seen, last_seen, proved_at,
    acknowledged_at, app_version, sync_noted_at, forgotten_at, previous_secret_hash)
SELECT id, account_id, secret_hash, name, browser, os, kind, installed, first_seen, last_seen, proved_at,
    acknowledged_at, app_version, sync_noted_at, forgotten_at, previous_secret_hash FROM devices;

-- device_id refers to no device any more, which may be gone: ON DELETE SET NULL would clear account_id too.
CREATE TABLE new_sessions (
    id TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device_id TEXT,
    created_at INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    last_activity INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    absolute_expires_at INTEGER NOT NULL,
    ip TEXT,
    browser TEXT NOT NULL,
    os TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('desktop', 'phone', 'tablet', 'other')),
    installed INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state BLOB NOT NULL,
    data TEXT NOT NULL,
    ended_at INTEGER,
    ended_reason TEXT CHECK (ended_reason IN ('expired', 'revoked', 'logged-out', 'replaced', 'password-changed', 'account-disabled')),
    ended_by TEXT,
    used_after_end_at INTEGER,
    previous_id TEXT,
    key_nonce TEXT,
    key_used_at INTEGER,
    login_form BLOB,
    PRIMARY KEY (account_id, id),
    CHECK (expires_at <= absolute_expires_at),
    CHECK ((ended_at IS NULL) = (ended_reason IS NULL))
) STRICT;
INSERT INTO new_sessions (id, secret_hash, account_id, device_id, created_at, authenticated_at, last_activity, expires_at,
    absolute_expires_at, ip, browser, os, kind, installed, version, state, data, ended_at, ended_reason, ended_by,
    used_after_end_at, previous_id, key_nonce, key_used_at, login_form)
SELECT id, secret_hash, account_id, device_id, created_at, authenticated_at, last_activity, expires_at,
    absolute_expires_at, ip, browser, os, kind, installed, version, state, data, ended_at, ended_reason, ended_by,
    used_after_end_at, previous_id, key_nonce, key_used_at, login_form FROM sessions;

CREATE TABLE new_former_keys (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    session_id TEXT NOT NULL,
    replaced_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, session_id) REFERENCES new_sessions (account_id, id) ON UPDATE CASCADE ON DELETE CASCADE
) STRICT;
INSERT INTO new_former_keys (account_id, id, secret_hash, session_id, replaced_at)
SELECT account_id, id, secret_hash, session_id, replaced_at FROM former_keys;

-- Drop referring tables first: dropping a table deletes its rows, and the deletion cascades.
DROP TABLE former_keys;
DROP TABLE sessions;
DROP TABLE devices;
ALTER TABLE new_devices RENAME TO devices;
ALTER TABLE new_sessions RENAME TO sessions;
ALTER TABLE new_former_keys RENAME TO former_keys;
CREATE UNIQUE INDEX devices_account_secret ON devices (account_id, secret_hash);
CREATE INDEX devices_unacknowledged ON devices (account_id, first_seen DESC, id) WHERE acknowledged_at IS NULL;
CREATE INDEX devices_last_seen ON devices (last_seen);
CREATE INDEX devices_previous_secret ON devices (account_id, previous_secret_hash) WHERE previous_secret_hash IS NOT NULL;
CREATE INDEX sessions_account ON sessions (account_id, last_activity) WHERE ended_at IS NULL;
CREATE INDEX sessions_device ON sessions (account_id, device_id);
CREATE INDEX sessions_device_ended ON sessions (account_id, device_id, last_activity) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_address ON sessions (last_activity) WHERE ip IS NOT NULL;
-- For operators, who end a session by its id alone.
CREATE INDEX former_keys_id ON former_keys (id);
CREATE INDEX sessions_id ON sessions (id);
CREATE INDEX former_keys_session ON former_keys (account_id, session_id, replaced_at);

-- audit.id is the account's own number: its first event has 1, and events that were removed keep theirs. Whoever records
-- an event has locked the account's row in trails, so the next number is known. Events of nobody have account_id '', which
-- no foreign key allows. No lock orders them, since all nodes would wait for it while somebody guesses addresses: their
-- number is the time in milliseconds and 20 random bits.
CREATE TABLE new_audit (
    id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    session_id TEXT,
    device_id TEXT,
    device_name TEXT,
    ip TEXT,
    detail TEXT,
    seq INTEGER,
    ip_salt BLOB,
    ip_commit BLOB,
    key_id TEXT,
    mac BLOB,
    PRIMARY KEY (account_id, id)
) STRICT;
INSERT INTO new_audit (id, at, kind, account_id, actor, session_id, device_id, device_name, ip, detail, seq, ip_salt, ip_commit,
    key_id, mac)
SELECT coalesce(c.links + c.unchained, 0) + row_number() OVER (PARTITION BY a.account_id ORDER BY a.id), a.at, a.kind,
    coalesce(a.account_id, ''), a.actor, a.session_id, a.device_id, a.device_name, a.ip, a.detail, a.seq, a.ip_salt, a.ip_commit,
    a.key_id, a.mac
FROM audit a LEFT JOIN trail_checkpoints c ON c.account_id = a.account_id;
DROP TABLE audit;
ALTER TABLE new_audit RENAME TO audit;
CREATE INDEX audit_account_kind ON audit (account_id, kind, id);
CREATE INDEX audit_address ON audit (at) WHERE ip IS NOT NULL;

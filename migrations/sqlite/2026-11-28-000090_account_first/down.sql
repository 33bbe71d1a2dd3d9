-- Events get numbers of one sequence again, by their time, but within each account in the order of their own numbers.
CREATE TABLE old_audit (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account_id TEXT REFERENCES accounts (id) ON DELETE CASCADE,
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
    mac BLOB
) STRICT;
INSERT INTO old_audit (id, at, kind, account_id, actor, session_id, device_id, device_name, ip, detail, seq, ip_salt, ip_commit,
    key_id, mac)
SELECT row_number() OVER (ORDER BY latest, account_id, id), at, kind, nullif(account_id, ''), actor, session_id, device_id,
    device_name, ip, detail, seq, ip_salt, ip_commit, key_id, mac
FROM (SELECT *, max(at) OVER (PARTITION BY account_id ORDER BY id) AS latest FROM audit)
WHERE account_id = '' OR account_id IN (SELECT id FROM accounts);
DROP TABLE audit;
ALTER TABLE old_audit RENAME TO audit;
CREATE INDEX audit_account ON audit (account_id, id);
CREATE INDEX audit_account_kind ON audit (account_id, kind, id);
CREATE INDEX audit_address ON audit (at) WHERE ip IS NOT NULL;

-- Keys that name their account are unknown to the program from before: their browsers sign in again.
CREATE TABLE old_devices (
    id TEXT NOT NULL PRIMARY KEY,
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
    previous_secret_hash BLOB
) STRICT;
INSERT INTO old_devices (id, account_id, secret_hash, name, browser, os, kind, installed, first_seen, last_seen, proved_at,
    acknowledged_at, app_version, sync_noted_at, forgotten_at, previous_secret_hash)
SELECT id, account_id, secret_hash, name, browser, os, kind, installed, first_seen, last_seen, proved_at,
    acknowledged_at, app_version, sync_noted_at, forgotten_at, previous_secret_hash FROM devices;

CREATE TABLE old_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    secret_hash BLOB NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device_id TEXT REFERENCES old_devices (id) ON DELETE SET NULL,
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
    CHECK (expires_at <= absolute_expires_at),
    CHECK ((ended_at IS NULL) = (ended_reason IS NULL))
) STRICT;
INSERT INTO old_sessions (id, secret_hash, account_id, device_id, created_at, authenticated_at, last_activity, expires_at,
    absolute_expires_at, ip, browser, os, kind, installed, version, state, data, ended_at, ended_reason, ended_by,
    used_after_end_at, previous_id, key_nonce, key_used_at, login_form)
SELECT id, secret_hash, account_id, (SELECT d.id FROM devices d WHERE d.id = sessions.device_id), created_at,
    authenticated_at, last_activity, expires_at,
    absolute_expires_at, ip, browser, os, kind, installed, version, state, data, ended_at, ended_reason, ended_by,
    used_after_end_at, previous_id, key_nonce, key_used_at, login_form FROM sessions;

CREATE TABLE old_former_keys (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    session_id TEXT NOT NULL REFERENCES old_sessions (id) ON UPDATE CASCADE ON DELETE CASCADE,
    replaced_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, id)
) STRICT;
INSERT INTO old_former_keys (account_id, id, secret_hash, session_id, replaced_at)
SELECT account_id, id, secret_hash, session_id, replaced_at FROM former_keys;

-- Drop referring tables first: dropping a table deletes its rows, and the deletion cascades.
DROP TABLE former_keys;
DROP TABLE sessions;
DROP TABLE devices;
ALTER TABLE old_devices RENAME TO devices;
ALTER TABLE old_sessions RENAME TO sessions;
ALTER TABLE old_former_keys RENAME TO former_keys;
CREATE UNIQUE INDEX devices_account_secret ON devices (account_id, secret_hash);
CREATE INDEX devices_secret ON devices (secret_hash);
CREATE INDEX devices_unacknowledged ON devices (account_id, first_seen DESC, id) WHERE acknowledged_at IS NULL;
CREATE INDEX devices_last_seen ON devices (last_seen);
CREATE INDEX devices_previous_secret ON devices (account_id, previous_secret_hash) WHERE previous_secret_hash IS NOT NULL;
CREATE INDEX sessions_account ON sessions (account_id, last_activity) WHERE ended_at IS NULL;
CREATE INDEX sessions_device ON sessions (device_id);
CREATE INDEX sessions_device_ended ON sessions (device_id, last_activity) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_address ON sessions (last_activity) WHERE ip IS NOT NULL;
CREATE UNIQUE INDEX former_keys_id ON former_keys (id);
CREATE INDEX former_keys_session ON former_keys (session_id, replaced_at);

DROP TABLE account_of_session;
DROP TABLE account_of_device_secret;
DROP INDEX accounts_email_key;
CREATE UNIQUE INDEX accounts_email_key ON accounts (email_key);
DROP TABLE account_of_email;

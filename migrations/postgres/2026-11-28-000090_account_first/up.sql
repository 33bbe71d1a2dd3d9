-- Each table of an account has account_id first in its primary key, and no unique index or foreign key lacks it, so that
-- the database can be distributed by account.

-- Nodes of the previous version may still be running. The lock keeps them from committing rows that the look-up tables
-- below would miss.
LOCK TABLE accounts, devices, sessions, former_keys, trails, trail_checkpoints, audit IN ACCESS EXCLUSIVE MODE;

-- Look-up tables find the account of other ids. Each is keyed by the other id alone, and has no foreign key: in a
-- distributed database its rows and the account's are on different machines.
-- An e-mail address belongs to one account.
CREATE TABLE account_of_email (
    email_key TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL
);
INSERT INTO account_of_email (email_key, account_id) SELECT email_key, id FROM accounts;
DROP INDEX accounts_email_key;
CREATE INDEX accounts_email_key ON accounts (email_key);

-- The secret that a device's browser keeps, hashed as in devices.secret_hash.
CREATE TABLE account_of_device_secret (
    secret_hash BYTEA NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL
);
INSERT INTO account_of_device_secret (secret_hash, account_id)
    SELECT secret_hash, min(account_id) FROM devices GROUP BY secret_hash;

-- Session keys from before this migration do not name their account. These are the ids in such keys; a row goes with its
-- session. Later keys are never in here.
CREATE TABLE account_of_session (
    session_id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL
);
INSERT INTO account_of_session (session_id, account_id)
    SELECT id, account_id FROM sessions UNION SELECT id, account_id FROM former_keys;

-- sessions.device_id refers to no device any more, which may be gone: ON DELETE SET NULL would clear account_id too.
ALTER TABLE former_keys DROP CONSTRAINT former_keys_session_id_fkey;
ALTER TABLE sessions DROP CONSTRAINT sessions_device_id_fkey;
ALTER TABLE sessions DROP CONSTRAINT sessions_pkey;
ALTER TABLE sessions ADD PRIMARY KEY (account_id, id);
ALTER TABLE devices DROP CONSTRAINT devices_pkey;
ALTER TABLE devices ADD PRIMARY KEY (account_id, id);
ALTER TABLE former_keys ADD FOREIGN KEY (account_id, session_id)
    REFERENCES sessions (account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;
DROP INDEX devices_secret;
DROP INDEX sessions_device;
CREATE INDEX sessions_device ON sessions (account_id, device_id);
DROP INDEX sessions_device_ended;
CREATE INDEX sessions_device_ended ON sessions (account_id, device_id, last_activity) WHERE ended_at IS NOT NULL;
DROP INDEX former_keys_id;
-- For operators, who end a session by its id alone.
CREATE INDEX former_keys_id ON former_keys (id);
CREATE INDEX sessions_id ON sessions (id);
DROP INDEX former_keys_session;
CREATE INDEX former_keys_session ON former_keys (account_id, session_id, replaced_at);

-- audit.id is the account's own number: its first event has 1, and events that were removed keep theirs. Whoever records
-- an event has locked the account's row in trails, so the next number is known. Events of nobody have account_id '', which
-- no foreign key allows. No lock orders them, since all nodes would wait for it while somebody guesses addresses: their
-- number is the time in milliseconds and 20 random bits.
ALTER TABLE audit DROP CONSTRAINT audit_account_id_fkey;
ALTER TABLE audit DROP CONSTRAINT audit_pkey;
ALTER TABLE audit ALTER COLUMN id DROP IDENTITY;
DROP INDEX audit_account;
UPDATE audit SET account_id = '' WHERE account_id IS NULL;
UPDATE audit SET id = numbered.number FROM (
    SELECT a.id AS old, coalesce(c.links + c.unchained, 0) + row_number() OVER (PARTITION BY a.account_id ORDER BY a.id) AS number
    FROM audit a LEFT JOIN trail_checkpoints c ON c.account_id = a.account_id
) numbered WHERE audit.id = numbered.old;
ALTER TABLE audit ALTER COLUMN account_id SET NOT NULL;
ALTER TABLE audit ADD PRIMARY KEY (account_id, id);

-- These columns let a browser recover a key whose response was lost. previous_id is the session's id before the last
-- rotation. key_nonce is the nonce that the present secret was derived with. key_used_at is when the browser first used
-- the present key; without a nonce it has no meaning. login_form is the hash of the login form that started the
-- session.
ALTER TABLE sessions ADD COLUMN previous_id TEXT;
ALTER TABLE sessions ADD COLUMN key_nonce TEXT;
ALTER TABLE sessions ADD COLUMN key_used_at TIMESTAMPTZ;
ALTER TABLE sessions ADD COLUMN login_form BYTEA;

-- Hashes of the keys that a session had before rotations. They open nothing; a client that holds such a key may only
-- end the session.
CREATE TABLE former_keys (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON UPDATE CASCADE ON DELETE CASCADE,
    replaced_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX former_keys_id ON former_keys (id);
CREATE INDEX former_keys_session ON former_keys (session_id, replaced_at);

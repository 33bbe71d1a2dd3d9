-- A session's row remembers how it came to its key, so that a lost answer signs nobody out: previous_id is the id from
-- before the last rotation, key_nonce is what the present secret was derived with, and key_used_at is when the browser
-- first showed that it has the present key (nothing waits for that where there is no nonce). login_form names the form of
-- the login that began the session, hashed.
ALTER TABLE sessions ADD COLUMN previous_id TEXT;
ALTER TABLE sessions ADD COLUMN key_nonce TEXT;
ALTER TABLE sessions ADD COLUMN key_used_at INTEGER;
ALTER TABLE sessions ADD COLUMN login_form BLOB;

-- Keys from before a rotation, hashed. They open nothing; whoever has one may end the session.
CREATE TABLE former_keys (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON UPDATE CASCADE ON DELETE CASCADE,
    replaced_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, id)
) STRICT;
CREATE UNIQUE INDEX former_keys_id ON former_keys (id);
CREATE INDEX former_keys_session ON former_keys (session_id, replaced_at);

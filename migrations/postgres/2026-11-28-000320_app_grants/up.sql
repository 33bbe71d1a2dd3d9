-- A grant opens one app for one session, in the browser that holds its secret. It is worth what its session is, and goes
-- with the session's row.
CREATE TABLE app_grants (
    account_id TEXT NOT NULL,
    id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    sid TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, sid) REFERENCES sessions (account_id, sid) ON DELETE CASCADE
);
CREATE INDEX app_grants_session ON app_grants (account_id, sid, app_id);
CREATE INDEX app_grants_app ON app_grants (app_id, sid);

-- A code takes a sign-in from Sessile's origin to an app's. It can be spent once, by the browser whose pending cookie has
-- the hash pending_hash. target is the address in the app to which that browser goes on. A spent code is kept for a while,
-- so that a browser that sends it again can go on too.
CREATE TABLE app_codes (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    secret_hash BYTEA NOT NULL,
    app_id TEXT NOT NULL,
    sid TEXT NOT NULL,
    pending_hash BYTEA NOT NULL,
    target TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    spent_at TIMESTAMPTZ,
    PRIMARY KEY (account_id, secret_hash)
);
CREATE INDEX app_codes_created ON app_codes (created_at);

-- Web apps that a reverse proxy protects by asking Sessile about each request. admits holds one rule a line: everyone,
-- role:ROLE, group:GROUP or account:ID. identity says which headers the proxy passes on. public_paths holds one path a
-- line; only the printed proxy configuration uses them. token_hash and secret_hash are the hashes of the gate token, which
-- the proxy knows, and of the secret, which the app's server knows. last_used_at and refused are written now and then;
-- refused counts the requests that an app with observe would have refused.
CREATE TABLE apps (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    admits TEXT NOT NULL,
    identity TEXT NOT NULL CHECK (identity IN ('sessile', 'remote')),
    observe BOOLEAN NOT NULL,
    allow_cross_site BOOLEAN NOT NULL,
    allow_preflight BOOLEAN NOT NULL,
    public_paths TEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    secret_hash BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    disabled_at TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    refused BIGINT NOT NULL
);
CREATE UNIQUE INDEX apps_origin ON apps (origin);
CREATE UNIQUE INDEX apps_token ON apps (token_hash);

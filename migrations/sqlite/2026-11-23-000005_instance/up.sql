-- One row with the state that all nodes share. A transaction that creates an owner locks it first.
CREATE TABLE instance (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    key_fingerprint TEXT
) STRICT;
INSERT INTO instance (id) VALUES (1);

-- One-time links for creating the owner. Only the SHA-256 of a link's secret is stored.
CREATE TABLE setup_links (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

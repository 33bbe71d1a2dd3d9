-- One row: what all nodes must agree on. Whoever makes an owner locks it first.
CREATE TABLE instance (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    key_fingerprint TEXT
) STRICT;
INSERT INTO instance (id) VALUES (1);

-- One-time links that create the owner, as SHA-256 of their secret.
CREATE TABLE setup_links (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

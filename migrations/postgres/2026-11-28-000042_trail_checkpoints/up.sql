-- The oldest events of an account that were removed because of their age: the number of chain links, the number of
-- events older than the chain, and the digest of the last removed link. Sealed under a key outside the database.
CREATE TABLE trail_checkpoints (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    links BIGINT NOT NULL,
    unchained BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    mac BYTEA NOT NULL
);

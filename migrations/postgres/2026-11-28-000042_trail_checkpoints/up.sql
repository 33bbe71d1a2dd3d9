-- How many of an account's oldest events were removed when they had become too old, links of its chain and events from before
-- it, and what those links come to. Sealed under a key that is not in the database.
CREATE TABLE trail_checkpoints (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    links BIGINT NOT NULL,
    unchained BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    mac BYTEA NOT NULL
);

-- Each account's events are links of a chain, sealed under a key that is not in the database. An address is in the chain
-- as ip_commit, the SHA-256 of ip_salt and ip, so that both can be wiped. Rows from before have no seq.
ALTER TABLE audit ADD COLUMN seq BIGINT;
ALTER TABLE audit ADD COLUMN ip_salt BYTEA;
ALTER TABLE audit ADD COLUMN ip_commit BYTEA;
ALTER TABLE audit ADD COLUMN key_id TEXT;
ALTER TABLE audit ADD COLUMN mac BYTEA;
CREATE INDEX audit_account_kind ON audit (account_id, kind, id);
CREATE INDEX audit_address ON audit (at) WHERE ip IS NOT NULL;
CREATE INDEX sessions_address ON sessions (last_activity) WHERE ip IS NOT NULL;

-- The head of each chain: how many links it has, and how many events of the account are older than the chain.
-- Whoever adds links locks it first; it is the last thing that a transaction locks.
CREATE TABLE trails (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    links BIGINT NOT NULL,
    unchained BIGINT NOT NULL,
    digest BYTEA,
    key_id TEXT,
    mac BYTEA
);
INSERT INTO trails (account_id, links, unchained) SELECT id, 0, 0 FROM accounts;

-- Each account's events form a chain whose links are sealed under a key outside the database. A link contains
-- ip_commit, the SHA-256 of ip_salt and ip, instead of the address, so that the address and the salt can be deleted
-- later. Rows from before this migration have no seq.
ALTER TABLE audit ADD COLUMN seq INTEGER;
ALTER TABLE audit ADD COLUMN ip_salt BLOB;
ALTER TABLE audit ADD COLUMN ip_commit BLOB;
ALTER TABLE audit ADD COLUMN key_id TEXT;
ALTER TABLE audit ADD COLUMN mac BLOB;
CREATE INDEX audit_account_kind ON audit (account_id, kind, id);
CREATE INDEX audit_address ON audit (at) WHERE ip IS NOT NULL;
CREATE INDEX sessions_address ON sessions (last_activity) WHERE ip IS NOT NULL;

-- The head of each account's chain: the number of its links, and the number of the account's events that are older than
-- the chain. A transaction that adds links locks this row first. No transaction locks another row after it.
CREATE TABLE trails (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    links INTEGER NOT NULL,
    unchained INTEGER NOT NULL,
    digest BLOB,
    key_id TEXT,
    mac BLOB
) STRICT;
INSERT INTO trails (account_id, links, unchained) SELECT id, 0, 0 FROM accounts;

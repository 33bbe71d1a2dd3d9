-- revision counts the changes of an account's drafts; each draft holds the number of its last change. Deletions with a
-- revision up to drafts_floor may have been removed from the database.
ALTER TABLE accounts ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN drafts_floor INTEGER NOT NULL DEFAULT 0;

-- Texts that a person writes on any device. Clients choose the ids, which are unique within the account. A deleted
-- draft stays for 90 days, without its text, so that other devices learn of the deletion.
CREATE TABLE drafts (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    text TEXT NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_on TEXT NOT NULL,
    conflict_of TEXT,
    deleted_at INTEGER,
    PRIMARY KEY (account_id, id)
) STRICT;
CREATE INDEX drafts_revision ON drafts (account_id, revision);
CREATE INDEX drafts_deleted ON drafts (deleted_at) WHERE deleted_at IS NOT NULL;

-- Operations sent by clients in the last 30 days. An operation that is sent again has no second effect. result omits
-- the draft's text, because the client sends it again.
CREATE TABLE operations (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    digest BLOB NOT NULL,
    result TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account_id, id)
) STRICT;
CREATE INDEX operations_at ON operations (at);

ALTER TABLE devices ADD COLUMN app_version TEXT;
-- When an audit event last recorded that drafts came from this device.
ALTER TABLE devices ADD COLUMN sync_noted_at INTEGER;

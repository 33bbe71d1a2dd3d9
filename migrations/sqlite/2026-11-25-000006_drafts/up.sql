-- How often an account's drafts have changed; each draft has the number of its last change. drafts_floor: changes up to
-- here may have been of drafts whose deletion is forgotten.
ALTER TABLE accounts ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN drafts_floor INTEGER NOT NULL DEFAULT 0;

-- Texts that are written on any device of an account. Their ids are made by clients and are the account's own. A deleted
-- one stays for 90 days, without its text, so that other devices hear of it.
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

-- What clients have sent, for 30 days, so that what is sent again has no second effect. result: without the text, which
-- the client sends again.
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
-- When the trail last said that drafts came from here.
ALTER TABLE devices ADD COLUMN sync_noted_at INTEGER;

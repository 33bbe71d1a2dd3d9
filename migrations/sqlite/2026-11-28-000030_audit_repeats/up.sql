-- Events of one kind that an account caused within an hour: how many were recorded, how many were only counted (held),
-- and the details of the last counted one. The next event after that hour, or the sweep, records the count.
CREATE TABLE audit_repeats (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    held INTEGER NOT NULL,
    last_at INTEGER,
    session_id TEXT,
    device_id TEXT,
    device_name TEXT,
    detail TEXT,
    PRIMARY KEY (account_id, kind)
) STRICT;
CREATE INDEX audit_repeats_began ON audit_repeats (began_at);

-- For an account's deletions of drafts, newest first.
CREATE INDEX drafts_deleted_of_account ON drafts (account_id, revision) WHERE deleted_at IS NOT NULL;

-- Failed password attempts, counted per account, per network address and per device. subject is the SHA-256 of its
-- name, so that nothing a person typed is stored. told is the value of failures for which an audit event was last
-- written.
CREATE TABLE throttle_counts (
    subject BLOB NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    told INTEGER NOT NULL,
    last_failed_at INTEGER,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX throttle_counts_changed ON throttle_counts (changed_at);

-- Password checks in progress. Each counts as a failure until its result is known.
CREATE TABLE throttle_tries (
    subject BLOB NOT NULL,
    try_id TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    PRIMARY KEY (subject, try_id)
) STRICT;
CREATE INDEX throttle_tries_try ON throttle_tries (try_id);
CREATE INDEX throttle_tries_began ON throttle_tries (began_at);

-- When the correct password was entered in this browser. Since then, and until the password changes, the browser has a
-- count of its own.
ALTER TABLE devices ADD COLUMN proved_at INTEGER;
UPDATE devices SET proved_at = last_seen;

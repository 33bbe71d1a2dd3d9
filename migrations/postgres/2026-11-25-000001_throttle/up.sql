-- Failed password attempts, counted per account, per network address and per device. subject is the SHA-256 of its
-- name, so that nothing a person typed is stored. told is the value of failures for which an audit event was last
-- written.
CREATE TABLE throttle_counts (
    subject BYTEA NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    told BIGINT NOT NULL,
    last_failed_at TIMESTAMPTZ,
    changed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX throttle_counts_changed ON throttle_counts (changed_at);

-- Password checks in progress. Each counts as a failure until its result is known.
CREATE TABLE throttle_tries (
    subject BYTEA NOT NULL,
    try_id TEXT NOT NULL,
    began_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (subject, try_id)
);
CREATE INDEX throttle_tries_try ON throttle_tries (try_id);
CREATE INDEX throttle_tries_began ON throttle_tries (began_at);

-- When the correct password was entered in this browser. Since then, and until the password changes, the browser has a
-- count of its own.
ALTER TABLE devices ADD COLUMN proved_at TIMESTAMPTZ;
UPDATE devices SET proved_at = last_seen;

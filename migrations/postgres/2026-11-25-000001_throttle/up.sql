-- Wrong passwords, counted for each account, address and device that they were tried for. A subject is the SHA-256 of
-- its name, so that what was typed as an address is not kept. told: for how many failures the trail has said so.
CREATE TABLE throttle_counts (
    subject BYTEA NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    told BIGINT NOT NULL,
    last_failed_at TIMESTAMPTZ,
    changed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX throttle_counts_changed ON throttle_counts (changed_at);

-- Passwords that are being checked: each counts as a wrong one until it is known.
CREATE TABLE throttle_tries (
    subject BYTEA NOT NULL,
    try_id TEXT NOT NULL,
    began_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (subject, try_id)
);
CREATE INDEX throttle_tries_try ON throttle_tries (try_id);
CREATE INDEX throttle_tries_began ON throttle_tries (began_at);

-- Since when the browser has a count of its own: the right password was given on it, and has not changed since.
ALTER TABLE devices ADD COLUMN proved_at TIMESTAMPTZ;
UPDATE devices SET proved_at = last_seen;

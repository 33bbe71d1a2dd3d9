-- When another of the account's devices said that this one is the person's own, or the first device was made.
ALTER TABLE devices ADD COLUMN acknowledged_at INTEGER;
UPDATE devices SET acknowledged_at = first_seen;
CREATE INDEX devices_unacknowledged ON devices (account_id) WHERE acknowledged_at IS NULL;

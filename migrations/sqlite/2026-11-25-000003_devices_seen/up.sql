-- When the person confirmed the device from another device of the account. The account's first device counts as
-- confirmed.
ALTER TABLE devices ADD COLUMN acknowledged_at INTEGER;
UPDATE devices SET acknowledged_at = first_seen;
CREATE INDEX devices_unacknowledged ON devices (account_id) WHERE acknowledged_at IS NULL;

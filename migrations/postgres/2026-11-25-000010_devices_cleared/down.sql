DROP INDEX devices_last_seen;
DROP INDEX devices_unacknowledged;
CREATE INDEX devices_unacknowledged ON devices (account_id) WHERE acknowledged_at IS NULL;

DROP INDEX devices_unacknowledged;
ALTER TABLE devices DROP COLUMN acknowledged_at;

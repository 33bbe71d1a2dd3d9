-- Devices that nobody has answered for, the newest first; and those that nobody has signed in on for long.
DROP INDEX devices_unacknowledged;
CREATE INDEX devices_unacknowledged ON devices (account_id, first_seen DESC, id) WHERE acknowledged_at IS NULL;
CREATE INDEX devices_last_seen ON devices (last_seen);

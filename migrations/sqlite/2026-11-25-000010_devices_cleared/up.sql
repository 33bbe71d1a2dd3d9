-- For an account's unconfirmed devices, newest first, and for devices without a sign-in for a long time.
DROP INDEX devices_unacknowledged;
CREATE INDEX devices_unacknowledged ON devices (account_id, first_seen DESC, id) WHERE acknowledged_at IS NULL;
CREATE INDEX devices_last_seen ON devices (last_seen);

-- For the last use of a device's ended sessions. Limited to ended sessions, so that a touch of a live session does not
-- update it.
CREATE INDEX sessions_device_ended ON sessions (device_id, last_activity) WHERE ended_at IS NOT NULL;

-- What was used last of a device's ended sessions. Of ended ones alone, so that no touch has to write here.
CREATE INDEX sessions_device_ended ON sessions (device_id, last_activity) WHERE ended_at IS NOT NULL;

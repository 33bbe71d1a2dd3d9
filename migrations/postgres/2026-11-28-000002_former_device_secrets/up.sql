-- A browser gets a new device secret at every sign-in. The previous secret stays valid until the browser has used the
-- new one, because the response that carried the new one may have been lost.
ALTER TABLE devices ADD COLUMN previous_secret_hash BYTEA;
CREATE INDEX devices_previous_secret ON devices (account_id, previous_secret_hash) WHERE previous_secret_hash IS NOT NULL;

-- A browser gets a new device secret at every sign-in. The one before counts until the browser has shown that it has the
-- new one, since the answer that carried it may have been lost.
ALTER TABLE devices ADD COLUMN previous_secret_hash BYTEA;
CREATE INDEX devices_previous_secret ON devices (account_id, previous_secret_hash) WHERE previous_secret_hash IS NOT NULL;

DROP INDEX devices_previous_secret;
ALTER TABLE devices DROP COLUMN previous_secret_hash;

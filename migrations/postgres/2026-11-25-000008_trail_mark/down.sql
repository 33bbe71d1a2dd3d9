ALTER TABLE instance DROP COLUMN trail_mac;
ALTER TABLE instance DROP COLUMN trail_key_id;

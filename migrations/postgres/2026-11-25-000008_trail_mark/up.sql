-- The sealed mark that every account has a chain. From then on, a chain head without a seal is forged.
ALTER TABLE instance ADD COLUMN trail_key_id TEXT;
ALTER TABLE instance ADD COLUMN trail_mac BYTEA;

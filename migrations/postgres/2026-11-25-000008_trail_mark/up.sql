-- That every account's chain has begun, sealed: from then on no head is without its seal.
ALTER TABLE instance ADD COLUMN trail_key_id TEXT;
ALTER TABLE instance ADD COLUMN trail_mac BYTEA;

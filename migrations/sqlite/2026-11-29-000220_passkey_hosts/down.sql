ALTER TABLE accounts DROP COLUMN passkey_offered_at;
ALTER TABLE passkeys DROP COLUMN rp_id;

-- The host that a passkey was made for. Browsers use it for no other host.
ALTER TABLE passkeys ADD COLUMN rp_id TEXT NOT NULL DEFAULT '';

-- When the person was offered to make a passkey, which happens once.
ALTER TABLE accounts ADD COLUMN passkey_offered_at INTEGER;

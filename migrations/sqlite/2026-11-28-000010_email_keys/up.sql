-- From here on accounts.email_key is the canonical form of the address (`EmailAddress`): the domain in its IDNA form,
-- the part before the @ in NFC and case-folded. The program has computed the keys before this migration
-- (`db::email_keys`).
SELECT 1;

-- accounts.email_key is the address in the canonical form of `EmailAddress` from here on: the domain as IDNA writes it, the
-- part before the @ in NFC and without case. The program has computed the keys before this step (`db::email_keys`).
SELECT 1;

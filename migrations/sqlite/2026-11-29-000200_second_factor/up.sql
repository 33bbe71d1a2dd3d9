-- second_factors counts the authenticator app and the passkeys of an account. factor_version goes up with each change of
-- them, and with each new set of recovery codes. short_password: the password is shorter than accounts without a second
-- factor may have. factor_reset_at: an administrator removed the second factor, and the person has not been told yet.
ALTER TABLE accounts ADD COLUMN second_factors INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN factor_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN short_password INTEGER NOT NULL DEFAULT false;
ALTER TABLE accounts ADD COLUMN factor_reset_at INTEGER;

-- How the person proved who they are, as words of RFC 8176 divided by spaces. NULL: a password. second_factor_at: when they
-- last gave a second factor in this session.
ALTER TABLE sessions ADD COLUMN amr TEXT;
ALTER TABLE sessions ADD COLUMN second_factor_at INTEGER;

-- The authenticator app of an account, once its first code was right. secret is sealed with the key that key_id names. No
-- code of last_step or before it is taken again.
CREATE TABLE totp_apps (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    secret BLOB NOT NULL,
    key_id TEXT NOT NULL,
    last_step INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The recovery codes of an account. code is the SHA-256 of the code, sealed with the key that key_id names. seen_at: the
-- person has seen the notice about its use.
CREATE TABLE recovery_codes (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    code BLOB NOT NULL,
    key_id TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    used_at INTEGER,
    seen_at INTEGER,
    PRIMARY KEY (account_id, number)
) STRICT;

-- The passkeys of an account. data is the public key with its flags and counter, as JSON. warned_at: a copy of the passkey
-- seems to exist, because its counter did not go up.
CREATE TABLE passkeys (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    credential_id BLOB NOT NULL,
    data TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    last_used_on TEXT,
    warned_at INTEGER,
    PRIMARY KEY (account_id, id)
) STRICT;

-- The account that a credential belongs to. credential_hash is the SHA-256 of the credential's id.
CREATE TABLE account_of_passkey (
    credential_hash BLOB NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    passkey_id TEXT NOT NULL,
    FOREIGN KEY (account_id, passkey_id) REFERENCES passkeys (account_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX account_of_passkey_account ON account_of_passkey (account_id, passkey_id);

-- Challenges and first steps of sign-ins that were used, by their hash. Kept until they would have expired.
CREATE TABLE spent_proofs (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    spent_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, hash)
) STRICT;
CREATE INDEX spent_proofs_spent ON spent_proofs (spent_at);

-- A person. E-mail addresses compare without case: email_key is the address in lower case.
-- Instants are microseconds since 1970 throughout.
CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    password_changed_at INTEGER NOT NULL,
    last_login_at INTEGER,
    disabled_at INTEGER
) STRICT;
CREATE UNIQUE INDEX accounts_email_key ON accounts (email_key);

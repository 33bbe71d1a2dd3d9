-- A person's account. email_key identifies the e-mail address regardless of case; it is the address in lower case.
-- Every instant in this database is a number of microseconds since 1970.
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

-- When the person was invited. NULL once they have chosen a password, and for whoever was never invited.
ALTER TABLE accounts ADD COLUMN invited_at INTEGER;
-- Finds owners and admins.
CREATE INDEX accounts_managers ON accounts (id) WHERE role <> 'member';

-- People who have asked for help because they forgot their password.
CREATE TABLE help_requests (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    asked_at INTEGER NOT NULL
) STRICT;
CREATE INDEX help_requests_asked ON help_requests (asked_at);

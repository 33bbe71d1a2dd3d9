-- One-time links: the owner's set-up, invitations, new passwords, hand-overs. A link is found by the hash of its token; the
-- token itself is nowhere. The link that creates the owner belongs to no account, its account_id is empty. A link works
-- until it is used or has expired; its row stays for a day after that. about
-- names what it is about, such as a device. made_by is an account's id, or operator or system.
CREATE TABLE links (
    account_id TEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    purpose TEXT NOT NULL,
    about TEXT,
    made_by TEXT NOT NULL,
    made_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ,
    PRIMARY KEY (account_id, token_hash)
);
CREATE INDEX links_expiry ON links (expires_at);

-- The account of a link. No foreign key, like every look-up table.
CREATE TABLE account_of_link (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL
);

-- An instance without an owner prints a new link at its next start.
DROP TABLE setup_links;

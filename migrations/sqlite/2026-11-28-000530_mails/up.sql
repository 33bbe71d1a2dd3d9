-- Mails that wait to be sent, written in the transaction of what they report. A row holds no link: nonce in detail, together
-- with the key file, gives the token of the link. A node that sends a mail first moves due_at into the future, so that no
-- other node sends it too. A mail that was sent has no row; one that nobody accepts keeps its row for a while.
CREATE TABLE mails (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    detail TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failed_at INTEGER,
    failure TEXT,
    PRIMARY KEY (account_id, id)
) STRICT;
CREATE INDEX mails_due ON mails (due_at) WHERE failed_at IS NULL;
CREATE INDEX mails_failed ON mails (failed_at) WHERE failed_at IS NOT NULL;

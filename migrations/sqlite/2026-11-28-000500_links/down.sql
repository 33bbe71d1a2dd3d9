CREATE TABLE setup_links (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
DROP TABLE account_of_link;
DROP TABLE links;

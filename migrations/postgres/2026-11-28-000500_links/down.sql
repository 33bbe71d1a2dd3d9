CREATE TABLE setup_links (
    secret_hash BYTEA NOT NULL PRIMARY KEY,
    expires_at TIMESTAMPTZ NOT NULL
);
DROP TABLE account_of_link;
DROP TABLE links;

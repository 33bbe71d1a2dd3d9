-- Audit events. Rows are only ever added. session_id and device_id may name rows that no longer exist.
CREATE TABLE audit (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account_id TEXT REFERENCES accounts (id) ON DELETE CASCADE,
    actor TEXT NOT NULL,
    session_id TEXT,
    device_id TEXT,
    device_name TEXT,
    ip TEXT,
    detail TEXT
) STRICT;
CREATE INDEX audit_account ON audit (account_id, id);

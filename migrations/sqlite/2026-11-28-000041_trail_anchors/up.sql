-- The links of each account that an anchor covers. An anchor is a line that the server logs from time to time. A row
-- stands for all anchors from its own number up to the account's next row. Rows stay when the account is deleted,
-- because logged lines include it.
CREATE TABLE trail_anchors (
    account_id TEXT NOT NULL,
    links INTEGER NOT NULL,
    digest BLOB NOT NULL,
    anchor INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account_id, links)
) STRICT;
-- The number of the last anchor, and the time by which the node that is writing an anchor must finish.
ALTER TABLE instance ADD COLUMN anchor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instance ADD COLUMN anchoring_until INTEGER;

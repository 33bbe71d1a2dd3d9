-- Which links of each account an anchor found, an anchor being a line that the server logs now and then. A row stands for all
-- anchors from its own until the account's next row. Kept when the account goes, since lines that are out there count it.
CREATE TABLE trail_anchors (
    account_id TEXT NOT NULL,
    links INTEGER NOT NULL,
    digest BLOB NOT NULL,
    anchor INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account_id, links)
) STRICT;
-- The number of the last anchor, and until when whoever makes it has time to finish.
ALTER TABLE instance ADD COLUMN anchor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instance ADD COLUMN anchoring_until INTEGER;

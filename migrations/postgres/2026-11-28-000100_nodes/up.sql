-- The nodes that may answer from memory. A node has a row before it caches anything. A commit that changes what nodes
-- cache waits for each of them. The row is updated several
-- times a second.
CREATE TABLE nodes (
    id TEXT NOT NULL PRIMARY KEY,
    beaten_at TIMESTAMPTZ NOT NULL
);

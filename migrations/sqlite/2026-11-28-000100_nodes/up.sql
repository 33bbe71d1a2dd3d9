-- The processes that may answer from memory. A process has a row before it caches anything. A commit that changes what
-- processes cache waits for each of them. The time is that of the start: a beat goes through the process's socket.
CREATE TABLE nodes (
    id TEXT NOT NULL PRIMARY KEY,
    beaten_at INTEGER NOT NULL
) STRICT;

-- One row with the number of the last transaction that announced something to other processes. Only SQLite uses it:
-- PostgreSQL delivers announcements itself.
CREATE TABLE announcements (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);
INSERT INTO announcements (id, number) VALUES (1, 0);

-- A random word, written by a node that has waited in vain for this one. This node then sends no beat until it has
-- added its row again. If the word is still there after a while, the row is removed.
ALTER TABLE nodes ADD COLUMN doubt TEXT;

-- The history that clients share with this database. It gets another random id when a backup is restored or commits were
-- lost. version_floor: versions of drafts given out in this history are greater, so that no number means two texts.
ALTER TABLE instance ADD COLUMN history TEXT;
ALTER TABLE instance ADD COLUMN version_floor INTEGER NOT NULL DEFAULT 0;
-- Where the database was when the history began, and on which timeline of PostgreSQL.
ALTER TABLE instance ADD COLUMN place TEXT;
ALTER TABLE instance ADD COLUMN timeline TEXT;
-- Since when a new history waits for the operator to say what happened.
ALTER TABLE instance ADD COLUMN unconfirmed_at INTEGER;

-- The draft's last version from before the history in which it was changed last.
ALTER TABLE drafts ADD COLUMN forked_at INTEGER;

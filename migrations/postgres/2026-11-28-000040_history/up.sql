-- The history that clients share with this database. It gets a new random id when a backup is restored or commits are
-- lost. Versions of drafts made in this history are greater than version_floor, so that no version number stands for
-- two texts.
ALTER TABLE instance ADD COLUMN history TEXT;
ALTER TABLE instance ADD COLUMN version_floor BIGINT NOT NULL DEFAULT 0;
-- The identity of the database when the history began, and its timeline (PostgreSQL) or its last mark (SQLite).
ALTER TABLE instance ADD COLUMN place TEXT;
ALTER TABLE instance ADD COLUMN timeline TEXT;
-- When a new history began that the operator has not confirmed yet.
ALTER TABLE instance ADD COLUMN unconfirmed_at TIMESTAMPTZ;

-- The draft's last version before the history in which it was last changed.
ALTER TABLE drafts ADD COLUMN forked_at BIGINT;

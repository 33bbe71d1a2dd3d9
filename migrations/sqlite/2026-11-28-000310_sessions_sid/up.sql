-- The id with which the session began. id changes with each new key, sid never does, so apps know the session by it. NULL
-- in a session that a node of an earlier version has begun since, until an app is opened from it.
ALTER TABLE sessions ADD COLUMN sid TEXT;
UPDATE sessions SET sid = id;
CREATE UNIQUE INDEX sessions_sid ON sessions (account_id, sid);

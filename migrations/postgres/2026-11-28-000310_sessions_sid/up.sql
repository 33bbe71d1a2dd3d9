-- The id with which the session began. id changes with each new key, sid never does, so apps know the session by it. NULL
-- in a session from before this column, until an app is opened from it: writing all rows here would hold up other nodes.
ALTER TABLE sessions ADD COLUMN sid TEXT;
CREATE UNIQUE INDEX sessions_sid ON sessions (account_id, sid);

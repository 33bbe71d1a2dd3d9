-- Ending all sessions at once raises session_generation. A session belongs to the generation in which it began, and lives
-- only while that is the current one.
ALTER TABLE instance ADD COLUMN session_generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_generation ON sessions (generation) WHERE ended_at IS NULL;

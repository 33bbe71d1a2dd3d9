-- Ending all sessions at once raises session_generation. A session belongs to the generation in which it began, and lives
-- only while that is the current one.
ALTER TABLE instance ADD COLUMN session_generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
DROP INDEX sessions_expiry;
CREATE INDEX sessions_expiry ON sessions (generation, expires_at) WHERE ended_at IS NULL;

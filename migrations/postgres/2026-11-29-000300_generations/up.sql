-- A session belongs to the generation in which it began, and lives only while that is the current one. Ending all sessions
-- at once begins the next generation. The number has a table of its own, because each worker of Citus needs a copy.
CREATE TABLE session_generation (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);
INSERT INTO session_generation (id, number) VALUES (1, 0);
ALTER TABLE sessions ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
CREATE INDEX sessions_generation ON sessions (generation) WHERE ended_at IS NULL;

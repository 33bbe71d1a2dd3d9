-- An earlier version does not know generations, so the sessions of earlier ones must end in their rows.
UPDATE sessions SET ended_at = now(), ended_reason = 'revoked', ended_by = 'operator'
    WHERE ended_at IS NULL AND generation < (SELECT number FROM session_generation);
DROP INDEX sessions_generation;
ALTER TABLE sessions DROP COLUMN generation;
DROP TABLE session_generation;

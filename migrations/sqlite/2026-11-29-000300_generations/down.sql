-- An earlier version does not know generations, so the sessions of earlier ones must end in their rows.
UPDATE sessions SET ended_at = CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000, ended_reason = 'revoked', ended_by = 'operator'
    WHERE ended_at IS NULL AND generation < (SELECT number FROM session_generation);
DROP INDEX sessions_generation;
ALTER TABLE sessions DROP COLUMN generation;
DROP TABLE session_generation;

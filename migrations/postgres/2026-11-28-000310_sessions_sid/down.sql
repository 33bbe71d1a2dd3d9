DROP INDEX sessions_sid;
ALTER TABLE sessions DROP COLUMN sid;

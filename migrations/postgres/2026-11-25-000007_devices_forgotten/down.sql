DELETE FROM devices WHERE forgotten_at IS NOT NULL;
ALTER TABLE devices DROP COLUMN forgotten_at;

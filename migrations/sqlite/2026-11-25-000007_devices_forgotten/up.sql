-- Since when it is only kept because nobody has answered whose it was, or because it may answer for others.
ALTER TABLE devices ADD COLUMN forgotten_at INTEGER;

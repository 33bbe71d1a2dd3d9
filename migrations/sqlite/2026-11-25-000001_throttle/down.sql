ALTER TABLE devices DROP COLUMN proved_at;
DROP TABLE throttle_tries;
DROP TABLE throttle_counts;

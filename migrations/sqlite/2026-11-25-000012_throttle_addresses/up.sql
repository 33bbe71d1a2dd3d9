-- Whether a count belongs to a network address. Such counts are deleted when addresses are wiped.
ALTER TABLE throttle_counts ADD COLUMN of_address INTEGER NOT NULL DEFAULT FALSE;

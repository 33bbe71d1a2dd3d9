-- Whether a count is a network address's: those go when addresses are wiped.
ALTER TABLE throttle_counts ADD COLUMN of_address BOOLEAN NOT NULL DEFAULT FALSE;

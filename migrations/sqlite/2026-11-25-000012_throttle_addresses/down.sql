ALTER TABLE throttle_counts DROP COLUMN of_address;

-- The IANA time zone in which times are shown to the person, as their browser reported it at the last sign-in. NULL
-- until a browser has reported one.
ALTER TABLE accounts ADD COLUMN time_zone TEXT;

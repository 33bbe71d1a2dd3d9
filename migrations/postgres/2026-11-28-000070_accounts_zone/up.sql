-- The IANA time zone in which the person reads times, as their browser last said at a sign-in; NULL until one has.
ALTER TABLE accounts ADD COLUMN time_zone TEXT;

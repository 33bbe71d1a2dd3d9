-- The groups that the person belongs to, divided by commas. Rules of apps name groups, and apps are told them.
ALTER TABLE accounts ADD COLUMN groups TEXT NOT NULL DEFAULT '';

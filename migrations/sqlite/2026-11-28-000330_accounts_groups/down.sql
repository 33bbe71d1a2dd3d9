ALTER TABLE accounts DROP COLUMN groups;

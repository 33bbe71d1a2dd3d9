ALTER TABLE devices DROP COLUMN sync_noted_at;
ALTER TABLE devices DROP COLUMN app_version;
DROP TABLE operations;
DROP TABLE drafts;
ALTER TABLE accounts DROP COLUMN drafts_floor;
ALTER TABLE accounts DROP COLUMN revision;

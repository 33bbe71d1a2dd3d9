ALTER TABLE accounts DROP COLUMN revision_tips;
ALTER TABLE drafts DROP COLUMN ancestors;

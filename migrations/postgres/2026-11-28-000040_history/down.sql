ALTER TABLE drafts DROP COLUMN forked_at;
ALTER TABLE instance DROP COLUMN unconfirmed_at;
ALTER TABLE instance DROP COLUMN timeline;
ALTER TABLE instance DROP COLUMN place;
ALTER TABLE instance DROP COLUMN version_floor;
ALTER TABLE instance DROP COLUMN history;

ALTER TABLE nodes DROP COLUMN doubt;
DROP TABLE announcements;

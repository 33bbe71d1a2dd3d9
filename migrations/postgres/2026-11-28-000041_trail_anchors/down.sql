ALTER TABLE instance DROP COLUMN anchoring_until;
ALTER TABLE instance DROP COLUMN anchor;
DROP TABLE trail_anchors;

DROP TABLE trail_checkpoints;

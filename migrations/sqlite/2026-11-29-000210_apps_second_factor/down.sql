ALTER TABLE apps DROP COLUMN require_second_factor;

-- Whether only sessions with a second factor may open the app.
ALTER TABLE apps ADD COLUMN require_second_factor BOOLEAN NOT NULL DEFAULT FALSE;

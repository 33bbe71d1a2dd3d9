-- The versions that a draft's present version was written on, the last first: a mark of four characters for each, 48 at most.
-- They take the place of forked_at, which older nodes beside this one still write.
ALTER TABLE drafts ADD COLUMN ancestors TEXT NOT NULL DEFAULT '';

-- The account's last counts of changes, each with the random tip that it got: in another history the count has another tip.
ALTER TABLE accounts ADD COLUMN revision_tips TEXT NOT NULL DEFAULT '';

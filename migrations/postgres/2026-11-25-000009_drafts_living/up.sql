-- For an account's list of drafts, without the deleted ones.
CREATE INDEX drafts_living ON drafts (account_id, revision) WHERE deleted_at IS NULL;

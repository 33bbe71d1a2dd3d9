-- What an account's list is read from, without the deleted ones beside it.
CREATE INDEX drafts_living ON drafts (account_id, revision) WHERE deleted_at IS NULL;

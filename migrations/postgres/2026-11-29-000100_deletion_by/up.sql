-- Who deleted the account, while its rows are still being deleted in batches: an account's id, or operator. NULL if the
-- person asked for it.
ALTER TABLE accounts ADD COLUMN deletion_by TEXT;

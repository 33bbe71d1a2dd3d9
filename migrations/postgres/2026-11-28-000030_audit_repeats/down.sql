DROP INDEX drafts_deleted_of_account;
DROP TABLE audit_repeats;

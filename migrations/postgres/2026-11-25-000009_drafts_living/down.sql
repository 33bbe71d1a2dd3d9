DROP INDEX drafts_living;

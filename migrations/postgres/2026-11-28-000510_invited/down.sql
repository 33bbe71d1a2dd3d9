DROP TABLE help_requests;
DROP INDEX accounts_role;
ALTER TABLE accounts DROP COLUMN invited_at;

DROP TABLE help_requests;
DROP INDEX accounts_managers;
ALTER TABLE accounts DROP COLUMN invited_at;

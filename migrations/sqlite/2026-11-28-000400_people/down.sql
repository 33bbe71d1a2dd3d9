DROP INDEX audit_by_others;
DROP INDEX accounts_owners;
DROP INDEX accounts_leaving;
DROP INDEX accounts_people;
ALTER TABLE trails DROP COLUMN closed_at;
ALTER TABLE accounts DROP COLUMN deleted_at;
ALTER TABLE accounts DROP COLUMN deletion_asked_at;
ALTER TABLE accounts DROP COLUMN search;

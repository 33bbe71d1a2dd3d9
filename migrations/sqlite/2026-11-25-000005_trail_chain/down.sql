DROP TABLE trails;
DROP INDEX sessions_address;
DROP INDEX audit_address;
DROP INDEX audit_account_kind;
ALTER TABLE audit DROP COLUMN mac;
ALTER TABLE audit DROP COLUMN key_id;
ALTER TABLE audit DROP COLUMN ip_commit;
ALTER TABLE audit DROP COLUMN ip_salt;
ALTER TABLE audit DROP COLUMN seq;

-- Events get numbers of one sequence again, by their time, but within each account in the order of their own numbers.
ALTER TABLE audit DROP CONSTRAINT audit_pkey;
UPDATE audit SET id = numbered.number FROM (
    SELECT account_id, id AS old, row_number() OVER (ORDER BY latest, account_id, id) AS number
    FROM (SELECT account_id, id, max(at) OVER (PARTITION BY account_id ORDER BY id) AS latest FROM audit) dated
) numbered WHERE audit.account_id = numbered.account_id AND audit.id = numbered.old;
ALTER TABLE audit ALTER COLUMN account_id DROP NOT NULL;
UPDATE audit SET account_id = NULL WHERE account_id = '';
DELETE FROM audit WHERE account_id NOT IN (SELECT id FROM accounts);
ALTER TABLE audit ADD PRIMARY KEY (id);
ALTER TABLE audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;
SELECT setval(pg_get_serial_sequence('audit', 'id'), coalesce(max(id), 0) + 1, false) FROM audit;
ALTER TABLE audit ADD FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE;
CREATE INDEX audit_account ON audit (account_id, id);

-- Keys that name their account are unknown to the program from before: their browsers sign in again.
ALTER TABLE former_keys DROP CONSTRAINT former_keys_account_id_session_id_fkey;
ALTER TABLE sessions DROP CONSTRAINT sessions_pkey;
ALTER TABLE sessions ADD PRIMARY KEY (id);
ALTER TABLE devices DROP CONSTRAINT devices_pkey;
ALTER TABLE devices ADD PRIMARY KEY (id);
UPDATE sessions SET device_id = NULL WHERE device_id NOT IN (SELECT id FROM devices);
ALTER TABLE sessions ADD FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE SET NULL;
ALTER TABLE former_keys ADD FOREIGN KEY (session_id) REFERENCES sessions (id) ON UPDATE CASCADE ON DELETE CASCADE;
CREATE INDEX devices_secret ON devices (secret_hash);
DROP INDEX sessions_device;
CREATE INDEX sessions_device ON sessions (device_id);
DROP INDEX sessions_device_ended;
CREATE INDEX sessions_device_ended ON sessions (device_id, last_activity) WHERE ended_at IS NOT NULL;
DROP INDEX sessions_id;
DROP INDEX former_keys_id;
CREATE UNIQUE INDEX former_keys_id ON former_keys (id);
DROP INDEX former_keys_session;
CREATE INDEX former_keys_session ON former_keys (session_id, replaced_at);

DROP TABLE account_of_session;
DROP TABLE account_of_device_secret;
DROP INDEX accounts_email_key;
CREATE UNIQUE INDEX accounts_email_key ON accounts (email_key);
DROP TABLE account_of_email;

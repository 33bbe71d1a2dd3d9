DROP TABLE former_keys;
ALTER TABLE sessions DROP COLUMN login_form;
ALTER TABLE sessions DROP COLUMN key_used_at;
ALTER TABLE sessions DROP COLUMN key_nonce;
ALTER TABLE sessions DROP COLUMN previous_id;

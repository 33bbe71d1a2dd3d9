-- The address in lower case, as before. (SQLite knows the case of ASCII letters only.)
UPDATE accounts SET email_key = lower(email);

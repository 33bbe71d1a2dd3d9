-- Sets each key to the address in lower case, as before. SQLite lowers ASCII letters only.
UPDATE accounts SET email_key = lower(email);

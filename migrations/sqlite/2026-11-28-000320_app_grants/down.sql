DROP TABLE app_codes;
DROP TABLE app_grants;

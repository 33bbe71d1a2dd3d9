DROP TABLE audit_repeats;

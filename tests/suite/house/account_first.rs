//! Every table that belongs to an account has the account first in its primary key, so that the database can be sharded
//! by account.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{Engine, TestDb, on_both_engines};

on_both_engines! {
    primary_keys_match_schema_rs_and_begin_with_the_account,
    no_unique_index_and_no_foreign_key_lacks_the_account,
}

/// Tables that map another key to an account.
const LOOKUPS: [&str; 3] = ["account_of_email", "account_of_device_secret", "account_of_session"];

/// The tables in `schema.rs`, each with its primary key and columns.
fn written() -> BTreeMap<String, (Vec<String>, BTreeSet<String>)> {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/base/db/schema.rs")).unwrap();
    let mut tables: BTreeMap<String, (Vec<String>, BTreeSet<String>)> = BTreeMap::new();
    let mut table = String::new();
    for line in source.lines().map(str::trim) {
        if let Some((name, key)) = line.strip_suffix(") {").and_then(|line| line.split_once(" (")) {
            name.clone_into(&mut table);
            tables.entry(table.clone()).or_default().0 = key.split(", ").map(str::to_owned).collect();
        } else if let Some((column, _)) = line.split_once(" -> ").filter(|_| !line.starts_with("diesel")) {
            tables.entry(table.clone()).or_default().1.insert(column.to_owned());
        }
    }
    tables
}

/// Tables whose rows belong to an account, with their primary keys.
fn of_accounts() -> BTreeMap<String, Vec<String>> {
    let of_account =
        |name: &str, columns: &BTreeSet<String>| columns.contains("account_id") && !LOOKUPS.contains(&name);
    let tables = written().into_iter().filter(|(name, (_, columns))| of_account(name, columns));
    tables.map(|(name, (key, _))| (name, key)).collect()
}

async fn primary_keys_match_schema_rs_and_begin_with_the_account(db: TestDb) {
    drop(db.sessions().await);
    let keys = match db.engine {
        Engine::Sqlite => db.sql(
            "SELECT line FROM (SELECT t.name || '|' || c.name AS line FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name NOT LIKE '__diesel%' AND c.pk > 0 \
             ORDER BY t.name, c.pk)",
        ),
        Engine::Postgres => db.sql(
            "SELECT k.table_name || '|' || k.column_name FROM information_schema.key_column_usage k \
             JOIN information_schema.table_constraints c USING (constraint_schema, constraint_name) \
             WHERE c.constraint_type = 'PRIMARY KEY' AND k.table_schema = 'public' AND k.table_name NOT LIKE '\\_\\_diesel%' \
             ORDER BY k.table_name, k.ordinal_position",
        ),
    };
    let mut made: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in keys.lines() {
        let (table, column) = line.split_once('|').unwrap();
        made.entry(table.to_owned()).or_default().push(column.to_owned());
    }
    assert_eq!(made, written().into_iter().map(|(table, (key, _))| (table, key)).collect());
    for (table, key) in of_accounts() {
        assert_eq!(key[0], "account_id", "{table}");
    }
    assert!(of_accounts().len() >= 9 && LOOKUPS.iter().all(|lookup| made[*lookup].len() == 1));
}

async fn no_unique_index_and_no_foreign_key_lacks_the_account(db: TestDb) {
    drop(db.sessions().await);
    // Each line holds the table, the index or constraint, and its columns.
    let found = match db.engine {
        Engine::Sqlite => db.sql(
            "SELECT t.name || '|' || i.name || '|' || (SELECT group_concat(c.name) FROM pragma_index_info(i.name) c) \
             FROM sqlite_schema t, pragma_index_list(t.name) i WHERE t.type = 'table' AND i.\"unique\" = 1 UNION ALL \
             SELECT t.name || '|to ' || f.\"table\" || '|' || group_concat(f.\"from\") \
             FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table' GROUP BY t.name, f.id",
        ),
        Engine::Postgres => db.sql(
            "SELECT t.relname || '|' || i.relname || '|' || string_agg(a.attname, ',') FROM pg_index x \
             JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid \
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY(x.indkey) \
             WHERE x.indisunique AND t.relnamespace = 'public'::regnamespace GROUP BY t.relname, i.relname UNION ALL \
             SELECT t.relname || '|' || f.conname || '|' || string_agg(a.attname, ',') FROM pg_constraint f \
             JOIN pg_class t ON t.oid = f.conrelid JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY(f.conkey) \
             WHERE f.contype = 'f' AND t.relnamespace = 'public'::regnamespace GROUP BY t.relname, f.conname",
        ),
    };
    let (tables, mut seen) = (of_accounts(), 0);
    for line in found.lines() {
        let [table, name, columns] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if tables.contains_key(table) {
            assert!(columns.split(',').any(|column| column == "account_id"), "{table} {name}: {columns}");
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}: {found}");
}

/// The migration that rebuilt tables differs by engine, so compare the resulting indexes.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn both_engines_have_the_same_indexes() {
    let indexes = |engine: Engine| {
        let db = TestDb::new(engine);
        actix_web::rt::System::new().block_on(async { drop(db.sessions().await) });
        let lines = match engine {
            Engine::Sqlite => db.sql(
                "SELECT t.name || '|' || i.name || '|' || i.\"unique\" || '|' || i.partial || '|' || \
                 (SELECT group_concat(name) FROM (SELECT c.name FROM pragma_index_info(i.name) c ORDER BY c.seqno)) \
                 FROM sqlite_schema t, pragma_index_list(t.name) i WHERE t.type = 'table' AND i.origin = 'c'",
            ),
            Engine::Postgres => db.sql(
                "SELECT t.relname || '|' || i.relname || '|' || x.indisunique::int || '|' || (x.indpred IS NOT NULL)::int || \
                 '|' || (SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM unnest(x.indkey) WITH ORDINALITY AS k(attnum, place) \
                 JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum) FROM pg_index x \
                 JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid \
                 WHERE NOT x.indisprimary AND t.relnamespace = 'public'::regnamespace AND t.relname NOT LIKE '\\_\\_diesel%'",
            ),
        };
        lines.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (sqlite, postgres) = (indexes(Engine::Sqlite), indexes(Engine::Postgres));
    assert!(sqlite.len() > 20, "{sqlite:?}");
    assert_eq!(sqlite, postgres);
}

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
const LOOKUPS: [&str; 5] =
    ["account_of_email", "account_of_device_secret", "account_of_session", "account_of_link", "account_of_passkey"];

/// Tables with their primary keys and columns.
type Tables = BTreeMap<String, (Vec<String>, BTreeSet<String>)>;

/// The text of `schema.rs`.
fn schema_rs() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/base/db/schema.rs")).unwrap()
}

fn tables_in(source: &str) -> Tables {
    let mut tables = Tables::new();
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
fn of_accounts(source: &str) -> BTreeMap<String, Vec<String>> {
    let of_account =
        |name: &str, columns: &BTreeSet<String>| columns.contains("account_id") && !LOOKUPS.contains(&name);
    let tables = tables_in(source).into_iter().filter(|(name, (_, columns))| of_account(name, columns));
    tables.map(|(name, (key, _))| (name, key)).collect()
}

async fn primary_keys_match_schema_rs_and_begin_with_the_account(db: TestDb) {
    drop(db.sessions().await);
    let source = schema_rs();
    let written: BTreeMap<_, _> = tables_in(&source).into_iter().map(|(table, (key, _))| (table, key)).collect();
    assert_eq!(primary_keys(&db), written);
    assert_eq!(begin_with_something_else(&source), [""; 0]);
    assert!(of_accounts(&source).len() >= 9 && LOOKUPS.iter().all(|lookup| written[*lookup].len() == 1));

    let turned = source.replace("drafts (account_id, id)", "drafts (id, account_id)");
    assert_eq!(begin_with_something_else(&turned), ["drafts"]);
    db.sql("CREATE TABLE added (id TEXT NOT NULL PRIMARY KEY)");
    assert_ne!(primary_keys(&db), written, "a table that schema.rs lacks is not noticed");
}

/// The tables of accounts whose primary keys do not begin with the account.
fn begin_with_something_else(source: &str) -> Vec<String> {
    of_accounts(source).into_iter().filter(|(_, key)| key[0] != "account_id").map(|(table, _)| table).collect()
}

fn primary_keys(db: &TestDb) -> BTreeMap<String, Vec<String>> {
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
    made
}

async fn no_unique_index_and_no_foreign_key_lacks_the_account(db: TestDb) {
    drop(db.sessions().await);
    assert_eq!(without_account(&db), [""; 0]);
    db.sql("CREATE UNIQUE INDEX added ON drafts (id)");
    assert_eq!(without_account(&db), ["drafts|added|id"]);
    db.sql("DROP INDEX added; ALTER TABLE drafts ADD COLUMN parent TEXT REFERENCES account_of_email (email_key)");
    let [found] = &without_account(&db)[..] else { panic!("a foreign key is not noticed") };
    assert!(found.starts_with("drafts|") && found.ends_with("|parent"), "{found}");
}

/// The unique indexes and foreign keys of accounts' tables that lack the account, as the table, the name and the
/// columns.
fn without_account(db: &TestDb) -> Vec<String> {
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
    let tables = of_accounts(&schema_rs());
    let of_accounts: Vec<&str> =
        found.lines().filter(|line| tables.contains_key(line.split('|').next().unwrap())).collect();
    assert!(of_accounts.len() > 15, "{found}");
    let names_account = |line: &str| line.rsplit('|').next().unwrap().split(',').any(|column| column == "account_id");
    of_accounts.into_iter().filter(|line| !names_account(line)).map(str::to_owned).collect()
}

/// The migration that rebuilt tables differs by engine, so compare the resulting indexes.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn both_engines_have_the_same_indexes() {
    let dbs = [Engine::Sqlite, Engine::Postgres].map(TestDb::new);
    for db in &dbs {
        actix_web::rt::System::new().block_on(async { drop(db.sessions().await) });
    }
    let [sqlite, postgres] = &dbs;
    assert!(indexes(sqlite).len() > 20, "{:?}", indexes(sqlite));
    assert_eq!(indexes(sqlite), indexes(postgres));

    for (drop, differently) in [
        ("sessions_id", "sessions (id, account_id)"),
        ("sessions_device", "sessions (device_id, account_id)"),
        ("sessions_expiry", "sessions (expires_at) WHERE ended_at IS NOT NULL"),
    ] {
        let made = indexes(sqlite);
        sqlite.sql(&format!("DROP INDEX {drop}; CREATE INDEX {drop} ON {differently}"));
        assert_ne!(indexes(sqlite), made, "{differently} is not noticed");
    }
}

fn indexes(db: &TestDb) -> BTreeSet<String> {
    db.sql(select_indexes(db.engine)).lines().map(str::to_owned).collect()
}

/// Selects the indexes that the migrations create: table, name, whether unique, condition, and columns.
pub fn select_indexes(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "SELECT t.name || '|' || i.name || '|' || i.\"unique\" || '|' || \
             CASE i.partial WHEN 0 THEN '' ELSE substr(s.sql, instr(s.sql, ' WHERE ') + 7) END || '|' || \
             (SELECT group_concat(name) FROM (SELECT c.name FROM pragma_index_info(i.name) c ORDER BY c.seqno)) \
             FROM sqlite_schema t, pragma_index_list(t.name) i JOIN sqlite_schema s ON s.name = i.name \
             WHERE t.type = 'table' AND i.origin = 'c'"
        }
        Engine::Postgres => {
            "SELECT t.relname || '|' || i.relname || '|' || x.indisunique::int || '|' || \
             replace(coalesce(translate(pg_get_expr(x.indpred, x.indrelid), '()', ''), ''), '::text', '') || \
             '|' || (SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM unnest(x.indkey) WITH ORDINALITY AS k(attnum, place) \
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum) FROM pg_index x \
             JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid \
             WHERE NOT x.indisprimary AND t.relnamespace = 'public'::regnamespace AND t.relname NOT LIKE '\\_\\_diesel%'"
        }
    }
}

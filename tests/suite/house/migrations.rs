//! The two engines' migrations create the same schema, and their down files revert it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::account_first::select_indexes;
use crate::support::{Engine, TestDb, on_both_engines};

on_both_engines! {
    down_files_revert_up_files,
    schema_rs_matches_the_migrations,
}

/// The migration that changes primary keys on PostgreSQL but rebuilds the tables on SQLite. `account_first` compares
/// the results.
const REBUILDING: &str = "2026-11-28-000090_account_first";

fn folder(engine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine)
}

fn names(engine: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder(engine)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn read(engine: Engine, migration: &str, file: &str) -> String {
    let engine = if engine == Engine::Sqlite { "sqlite" } else { "postgres" };
    std::fs::read_to_string(folder(engine).join(migration).join(file)).unwrap()
}

#[test]
fn both_engines_have_the_same_migrations() {
    assert_eq!(names("postgres"), names("sqlite"));
    for migration in names("sqlite") {
        for engine in [Engine::Sqlite, Engine::Postgres] {
            for file in ["up.sql", "down.sql"] {
                assert!(!read(engine, &migration, file).trim().is_empty(), "{engine:?} {migration} {file}");
            }
        }
    }
}

/// Compares tables, columns, NOT NULL constraints and indexes, but not the types, which differ by engine.
#[test]
fn both_engines_migrations_have_the_same_text() {
    let plain = |engine: Engine, migration: &str| {
        let text = read(engine, migration, "up.sql");
        let types = [
            ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "N NOT NULL PRIMARY KEY"),
            ("INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "N NOT NULL PRIMARY KEY"),
            ("TIMESTAMPTZ", "N"),
            ("BIGINT", "N"),
            ("BOOLEAN", "N"),
            ("INTEGER", "N"),
            ("JSONB", "B"),
            ("BYTEA", "B"),
            ("BLOB", "B"),
            (") STRICT;", ");"),
        ];
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        types.iter().fold(code.join("\n"), |text, (from, to)| text.replace(from, to))
    };
    for migration in names("sqlite").into_iter().filter(|name| name != REBUILDING) {
        assert_eq!(plain(Engine::Postgres, &migration), plain(Engine::Sqlite, &migration), "{migration}");
    }
}

/// A node that still serves may write to any table that the migration has not locked.
#[test]
fn the_migration_that_changes_keys_first_locks_each_table_it_uses() {
    let text = read(Engine::Postgres, REBUILDING, "up.sql");
    assert_eq!(not_locked(&text), [""; 0]);
    for locked in ["accounts, ", ", devices", ", former_keys", ", trail_checkpoints", ", audit"] {
        assert_eq!(not_locked(&text.replacen(locked, "", 1)), [locked.trim_matches([',', ' '])], "not noticed");
    }
    let (before, lock) = text.split_once("LOCK TABLE").unwrap();
    let (lock, after) = lock.split_once(';').unwrap();
    let late = format!("{before}SELECT 1 FROM accounts;\nLOCK TABLE{lock};{after}");
    assert!(!not_locked(&late).is_empty(), "a lock after the first statement is not noticed");
}

/// The older tables that the statements of a migration use, and that its first statement does not lock.
fn not_locked(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
    let code = code.join(" ");
    let (first, rest) = code.trim_start().split_once(';').unwrap();
    let locked = first.strip_prefix("LOCK TABLE ").and_then(|lock| lock.strip_suffix(" IN ACCESS EXCLUSIVE MODE"));
    let locked: BTreeSet<&str> = locked.unwrap_or_default().split(", ").collect();
    let words: Vec<&str> = rest.split([' ', '(', ')', ';', '.']).filter(|word| !word.is_empty()).collect();
    let after = |before: &[&str]| {
        let found = words.windows(2).filter(|pair| before.contains(&pair[0])).map(|pair| pair[1]);
        found.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect::<BTreeSet<_>>()
    };
    let used = after(&["TABLE", "UPDATE", "FROM", "JOIN", "REFERENCES", "ON"]);
    let made: BTreeSet<&str> = rest.split("CREATE TABLE ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
    let is_alias = |word: &str| rest.contains(&format!(") {word} ")) || word.len() == 1;
    let old = used.into_iter().filter(|table| !made.contains(table) && !is_alias(table));
    old.filter(|table| !locked.contains(table)).map(str::to_owned).collect()
}

async fn down_files_revert_up_files(db: TestDb) {
    drop(db.sessions().await);
    let made = schema(&db);
    let all: Vec<String> = names("sqlite").into_iter().collect();
    let mut reverted = Vec::new();
    for migration in all.iter().rev() {
        db.sql(&read(db.engine, migration, "down.sql"));
        reverted.push(schema(&db));
    }
    assert_eq!(reverted.last(), Some(&BTreeSet::new()));
    for (migration, reverted) in all.iter().zip(reverted.iter().rev()) {
        assert_eq!(schema(&db), *reverted, "before {migration}, and after its down file");
        // In a transaction, as the program runs it.
        db.sql(&format!("BEGIN; {} COMMIT;", read(db.engine, migration, "up.sql")));
    }
    assert_eq!(schema(&db), made);
}

/// The columns of all tables, and all indexes.
fn schema(db: &TestDb) -> BTreeSet<String> {
    let selects = [select_columns(db.engine), select_indexes(db.engine)];
    let lines = match db.engine {
        Engine::Sqlite => selects.map(|select| db.sql(select)).join("\n"),
        Engine::Postgres => db.sql(&selects.join(";")),
    };
    lines.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

async fn schema_rs_matches_the_migrations(db: TestDb) {
    drop(db.sessions().await);
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/base/db/schema.rs")).unwrap();
    let mut written: BTreeMap<String, BTreeSet<(String, bool)>> = BTreeMap::new();
    let mut table = String::new();
    for line in source.lines().map(str::trim) {
        if let Some((name, _)) = line.strip_suffix(" {").and_then(|line| line.split_once(" (")) {
            name.clone_into(&mut table);
        } else if let Some((column, kind)) = line.split_once(" -> ").filter(|_| !line.starts_with("diesel")) {
            let nullable = kind.starts_with("Nullable<");
            written.entry(table.clone()).or_default().insert((column.to_owned(), nullable));
        }
    }
    assert_eq!(tables(&db), written);
}

/// Each table's columns, and whether each is nullable.
fn tables(db: &TestDb) -> BTreeMap<String, BTreeSet<(String, bool)>> {
    let mut tables: BTreeMap<String, BTreeSet<(String, bool)>> = BTreeMap::new();
    for line in db.sql(select_columns(db.engine)).lines() {
        let mut parts = line.split('|');
        let (table, column, nullable) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        tables.entry(table.to_owned()).or_default().insert((column.to_owned(), nullable == "1"));
    }
    tables
}

/// Selects the columns: table, name, and whether nullable.
fn select_columns(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "SELECT t.name || '|' || c.name || '|' || (c.\"notnull\" = 0) FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name NOT LIKE '__diesel%'"
        }
        Engine::Postgres => {
            "SELECT table_name || '|' || column_name || '|' || (is_nullable = 'YES')::int FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_diesel%'"
        }
    }
}

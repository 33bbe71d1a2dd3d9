//! Whether the tables in a database are Sessile's: another program's may have the same names, and its rows must not be
//! touched. Called before the schema is brought up to date, and by the look of [`inspect`](super::inspect).

use std::collections::BTreeSet;

use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection};
use diesel_migrations::MigrationHarness as _;

use super::migrate;
use crate::base::error::{Error, Result};

/// Where diesel remembers the steps of a schema, whoever's.
pub(super) const RECORD: &str = "__diesel_schema_migrations";

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

/// The first of `present` that stands where a table of ours is to be and is not ours; `applied` are the steps that the
/// database remembers.
pub(super) fn foreign(present: &[String], applied: &[String]) -> Result<Option<String>> {
    let known = migrate::versions()?;
    if applied.iter().any(|version| known.contains(version)) {
        return Ok(None);
    }
    // Steps that are all unknown are another program's, but for those of a later version of this one.
    let ours = ours()?;
    let found = present.iter().find(|name| ours.contains(*name) && *name != RECORD);
    Ok(found.or(present.iter().find(|name| *name == RECORD && !applied.is_empty())).cloned())
}

/// What to say of it.
pub(super) fn refusal(table: &str, place: &str, remedy: &str) -> Error {
    Error::Conflict(format!(
        "{place} has a table, or something else, named {table} that is not Sessile's (DATABASE_URL): {remedy}"
    ))
}

/// All names that the schema uses, from a database in memory that has it.
pub(super) fn ours() -> Result<BTreeSet<String>> {
    let mut conn = SqliteConnection::establish(":memory:").map_err(Error::bug)?;
    conn.run_pending_migrations(migrate::SQLITE).map_err(Error::bug)?;
    let names = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view', 'index') AND name NOT LIKE 'sqlite%'";
    let tables: Vec<Table> = diesel::sql_query(names).load(&mut conn)?;
    Ok(tables.into_iter().map(|table| table.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_table_is_ours_only_beside_the_record_of_our_steps() {
        let first = &migrate::versions().unwrap()[0];
        let found = |present: &[&str], applied: &[&str]| foreign(&texts(present), &texts(applied)).unwrap();
        assert_eq!(found(&[], &[]), None);
        assert_eq!(found(&["invoices", RECORD], &[]), None);
        assert_eq!(found(&["invoices", "sessions"], &[]).as_deref(), Some("sessions"));
        assert_eq!(found(&["sessions", RECORD], &["20200101000000"]).as_deref(), Some("sessions"));
        assert_eq!(found(&["invoices", RECORD], &["20200101000000"]).as_deref(), Some(RECORD));
        assert_eq!(found(&["sessions", RECORD], &[first, "99999999000000"]), None);
    }
}

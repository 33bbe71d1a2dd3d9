//! Detects tables of other programs: their names may equal ours, and their rows must not be touched. Called before the
//! schema is migrated, and by [`inspect`](super::inspect).
//!
//! Invariant: a table counts as ours only if one of our migrations is recorded in the database.

use std::collections::BTreeSet;

use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection};
use diesel_migrations::MigrationHarness as _;

use super::migrate;
use crate::base::error::{Error, Result};

/// The table in which diesel records migrations, those of other programs included.
pub(super) const RECORD: &str = "__diesel_schema_migrations";

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

/// The first name in `present` that collides with a name of ours and belongs to another program. `applied` are the
/// migrations that the database records.
pub(super) fn foreign(present: &[String], applied: &[String]) -> Result<Option<String>> {
    let known = migrate::versions()?;
    if applied.iter().any(|version| known.contains(version)) {
        return Ok(None);
    }
    // No recorded migration is ours. A later version of this program would have recorded ours as well.
    let ours = ours()?;
    let found = present.iter().find(|name| ours.contains(*name) && *name != RECORD);
    Ok(found.or(present.iter().find(|name| *name == RECORD && !applied.is_empty())).cloned())
}

/// The error for such a table.
pub(super) fn refusal(table: &str, place: &str, remedy: &str) -> Error {
    Error::Conflict(format!(
        "{place} (DATABASE_URL) has a table or another object named {table} that does not belong to Sessile: {remedy}"
    ))
}

/// All names that the schema uses, read from a migrated in-memory database.
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
    fn a_table_is_ours_only_if_one_of_our_migrations_is_recorded() {
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

//! The embedded migrations, for both engines under the same dated names. Called at the start of `serve` and by
//! `migrate`.
//!
//! Invariant: only one node at a time changes the schema, and no program uses a schema newer than itself.

use std::time::Duration;

use diesel::backend::Backend;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::email_keys;
use crate::base::error::{Away, Error, Result};

/// Longest time of all pending migrations together.
pub const DEADLINE: Duration = Duration::from_secs(600);

pub(super) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
pub(super) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The versions of all migrations in this program.
pub(super) fn versions() -> Result<Vec<String>> {
    let migrations = diesel::migration::MigrationSource::<diesel::sqlite::Sqlite>::migrations(&SQLITE);
    let migrations = migrations.map_err(Error::bug)?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

/// Runs the pending migrations. First calls `update_email_keys` if that step is due, because SQL cannot compute the
/// keys. The caller holds the lock that excludes other nodes.
pub(super) fn bring_up_to_date<Engine, Connection, Source>(
    conn: &mut Connection,
    embedded: Source,
    update_email_keys: impl FnOnce(&mut Connection) -> Result<()>,
) -> Result<()>
where
    Engine: Backend,
    Connection: MigrationHarness<Engine>,
    Source: diesel::migration::MigrationSource<Engine>,
{
    let away = |error: Box<dyn std::error::Error + Send + Sync>| Error::unavailable(Away::Database, error);
    let versions: Vec<String> =
        embedded.migrations().map_err(away)?.iter().map(|migration| migration.name().version().to_string()).collect();
    let applied = conn.applied_migrations().map_err(away)?;
    if let Some(newer) = applied.iter().find(|version| !versions.contains(&version.to_string())) {
        return Err(Error::Conflict(format!(
            "the database's schema ({newer}) is newer than this program: start the version that created it, or a later version"
        )));
    }
    if email_keys::are_due(&applied.iter().map(ToString::to_string).collect::<Vec<_>>()) {
        update_email_keys(conn)?;
    }
    let run = conn.run_pending_migrations(embedded).map_err(away)?;
    if let Some(version) = run.last() {
        tracing::info!(steps = run.len(), %version, "schema brought up to date");
    }
    Ok(())
}

//! The schema, embedded, for both engines under the same dated names. Called at the start of `serve` and by `migrate`.
//!
//! Invariant: one node at a time changes the schema, and no program touches a schema newer than itself.

use diesel::backend::Backend;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::email_keys;
use crate::base::error::{Away, Error, Result};

pub(super) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
pub(super) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Every step that this program knows, by its version.
pub(super) fn versions() -> Result<Vec<String>> {
    let migrations = diesel::migration::MigrationSource::<diesel::sqlite::Sqlite>::migrations(&SQLITE);
    let migrations = migrations.map_err(Error::bug)?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

/// Runs what is pending, after `bring_keys`, which computes what SQL cannot, if that is due. The caller holds the lock that
/// keeps other nodes out.
pub(super) fn bring_up_to_date<Engine, Connection>(
    conn: &mut Connection,
    known: EmbeddedMigrations,
    bring_keys: impl FnOnce(&mut Connection) -> Result<()>,
) -> Result<()>
where
    Engine: Backend,
    Connection: MigrationHarness<Engine>,
    EmbeddedMigrations: diesel::migration::MigrationSource<Engine>,
{
    let away = |error: Box<dyn std::error::Error + Send + Sync>| Error::unavailable(Away::Database, error);
    let versions: Vec<String> = diesel::migration::MigrationSource::<Engine>::migrations(&known)
        .map_err(away)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations().map_err(away)?;
    if let Some(newer) = applied.iter().find(|version| !versions.contains(&version.to_string())) {
        return Err(Error::Conflict(format!(
            "the database's schema ({newer}) is newer than this program: start the version that made it, or a later one"
        )));
    }
    if email_keys::are_due(&applied.iter().map(ToString::to_string).collect::<Vec<_>>()) {
        bring_keys(conn)?;
    }
    let run = conn.run_pending_migrations(known).map_err(away)?;
    if let Some(version) = run.last() {
        tracing::info!(steps = run.len(), %version, "schema brought up to date");
    }
    Ok(())
}

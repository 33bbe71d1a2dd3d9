//! Opens the database for a process that may run before the first start, and creates a missing key file. Called by
//! `serve` and by the commands that may create the database.
//!
//! Invariant: a key file is created only if the database needs no older key.

use crate::base::{db::Db, error::Result, keys::Keys, settings::Settings};

/// The steps in which the callers differ.
pub struct Steps<Migrate, Check> {
    /// Migrates the schema. Returns false if the database is unavailable and the start continues without it.
    pub migrate: Migrate,
    /// Refuses a database that needs the keys of a missing key file.
    pub check_without_keys: Check,
}

/// Opens the database with the keys, and migrates its schema. The boolean is whether the database answered.
pub async fn open_or_create<Migrate, Check>(
    settings: &Settings,
    mut steps: Steps<Migrate, Check>,
) -> Result<(Db, Keys, bool)>
where
    Migrate: AsyncFnMut(&Db) -> Result<bool>,
    Check: AsyncFn(&Db) -> Result<()>,
{
    let mut answers = true;
    if !settings.key_file.exists() {
        // First open the database without keys: a new key file may be created only if the database needs no older key.
        let db = Db::open(settings, None)?;
        answers = (steps.migrate)(&db).await?;
        // Another process may have created the file while this one waited for the migration.
        if answers && !settings.key_file.exists() {
            (steps.check_without_keys)(&db).await?;
        }
    }
    let keys = Keys::read_or_make(&settings.key_file)?;
    let db = Db::open(settings, Some(keys.trail()))?;
    // Also after a first migration: each `Db` then watches over its own file.
    let answers = answers && (steps.migrate)(&db).await?;
    Ok((db, keys, answers))
}

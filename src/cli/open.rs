//! Opens the database for commands: to read, to record events, or to create it. Called by every command that needs the
//! database, except `serve` and `doctor`.
//!
//! Invariant: a command that only reads changes nothing, not even the schema.

use std::io::{IsTerminal as _, Write as _};

use crate::{
    base::{
        db::{Db, Schema, inspect::Inspection},
        error::{Error, Result},
        keys::Keys,
        settings::Settings,
    },
    records::{
        instance::{
            self,
            first_open::{Steps, open_or_create},
        },
        mail::Letters,
    },
};

/// Opens the database for a command that only reads. The schema must be current.
pub async fn open_to_read(settings: &Settings) -> Result<Db> {
    let place = &settings.database;
    match inspect_existing(settings).await? {
        Schema::Behind(steps) => Err(Error::Conflict(format!(
            "the schema of the database {place} (DATABASE_URL) is older than this program ({steps} migrations behind): run `sessile \
             migrate` or start the server first"
        ))),
        Schema::Newer(version) => Err(Error::Conflict(format!(
            "the schema of the database {place} (DATABASE_URL), {version}, is newer than this program: run the version that \
             made it, or a later one"
        ))),
        _ => Db::open_existing(settings, None),
    }
}

/// Opens the database for a command that records events, and migrates the schema. The keys, which seal the events, must
/// be the keys of the nodes.
pub async fn open_to_record(settings: &Settings) -> Result<Db> {
    let (db, keys) = open_with(settings).await?;
    instance::check_keys_of_command(&db, Some(&keys)).await?;
    Ok(db)
}

/// Like [`open_to_record`], for a command that may queue mails too.
pub async fn open_with_letters(settings: &Settings) -> Result<(Db, Letters)> {
    let (db, keys) = open_with(settings).await?;
    instance::check_keys_of_command(&db, Some(&keys)).await?;
    Ok((db, Letters::new(settings, &keys)))
}

/// Opens the database to record events, without checking the keys. For commands that must work after the right keys
/// were lost.
pub async fn open_with_any_keys(settings: &Settings) -> Result<Db> {
    open_with(settings).await.map(|(db, _)| db)
}

/// The same for a command that may queue mails too.
pub async fn open_with_any_keys_and_letters(settings: &Settings) -> Result<(Db, Letters)> {
    let (db, keys) = open_with(settings).await?;
    Ok((db, Letters::new(settings, &keys)))
}

/// Opens the database for a command that may run before the first start. Creates a missing database. Creates a missing
/// key file, unless the database needs older keys.
pub async fn make_to_record(settings: &Settings) -> Result<Db> {
    print_place(settings);
    Inspection::check_servers(settings).await?;
    let migrate = async |db: &Db| db.migrate().await.map(|()| true);
    let check_without_keys = async |db: &Db| instance::check_keys_of_command(db, None).await;
    let (db, keys, _) = open_or_create(settings, Steps { migrate, check_without_keys }).await?;
    let checked = instance::check_keys_of_command(&db, Some(&keys)).await;
    if matches!(checked, Err(Error::Conflict(_))) {
        keys.take_back(&settings.key_file);
    }
    checked.map(|()| db)
}

/// Creates the database if it is missing, and migrates its schema.
pub async fn migrate(settings: &Settings) -> Result<()> {
    print_place(settings);
    Inspection::check_servers(settings).await?;
    Db::open(settings, None)?.migrate().await
}

async fn open_with(settings: &Settings) -> Result<(Db, Keys)> {
    print_place(settings);
    inspect_existing(settings).await?;
    let keys = keys(settings)?;
    let db = Db::open_existing(settings, Some(keys.trail()))?;
    db.migrate().await?;
    Ok((db, keys))
}

/// Reads the schema of an existing database. Does not create a database, because an empty one would hide a wrong
/// address.
async fn inspect_existing(settings: &Settings) -> Result<Schema> {
    let place = &settings.database;
    let Some(mut database) = Inspection::open(settings).await? else {
        return Err(Error::Invalid(format!(
            "there is no database at {place} (DATABASE_URL): run this where Sessile runs, or name its database with \
             --database-url"
        )));
    };
    let found = database.schema().await?;
    database.refuse_foreign(&found, settings).await?;
    if found == Schema::Missing {
        return Err(Error::Invalid(format!(
            "the database {place} (DATABASE_URL) has no tables of Sessile: name the right database with --database-url, or \
             create the tables with `sessile migrate`"
        )));
    }
    Ok(found)
}

/// Reads an existing key file.
fn keys(settings: &Settings) -> Result<Keys> {
    Keys::read(&settings.key_file)?.ok_or_else(|| {
        let path = std::path::absolute(&settings.key_file).unwrap_or_else(|_| settings.key_file.clone());
        Error::Invalid(format!(
            "there is no key file at {path} (SESSILE_KEY_FILE): name the server's key file with --key-file, or restore it from \
             your backup; if it is lost for good, create a new one with `(umask 077; head -c 64 /dev/urandom | base64 -w0 > \
             {path})`",
            path = path.display()
        ))
    })
}

/// Prints which database a command will change, if stderr is a terminal.
pub(super) fn print_place(settings: &Settings) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Ignore errors: if stderr is closed, nobody can read the line.
        let _ = writeln!(stderr, "sessile: the database is {}", settings.database);
    }
}

//! How commands open the database: to read, to record events, or to make it.
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
    records::instance,
};

/// For a command that only reads. The schema must be the one of this program.
pub async fn open_to_read(settings: &Settings) -> Result<Db> {
    let place = &settings.database;
    match look(settings).await? {
        Schema::Behind(steps) => Err(Error::Conflict(format!(
            "the schema of the database {place} (DATABASE_URL) is older than this program (steps to come: {steps}): run `sessile \
             migrate` or start the server first"
        ))),
        Schema::Newer(version) => Err(Error::Conflict(format!(
            "the schema of the database {place} (DATABASE_URL), {version}, is newer than this program: run the version that \
             made it, or a later one"
        ))),
        _ => Db::open_existing(settings, None),
    }
}

/// For a command that records events: with the keys that seal them, which must be those of the nodes. Brings the schema up
/// to date.
pub async fn open_to_record(settings: &Settings) -> Result<Db> {
    let (db, keys) = open_with(settings).await?;
    instance::check_keys_of_command(&db, Some(&keys)).await?;
    Ok(db)
}

/// The same whatever keys there are: for the way out when the right ones are lost.
pub async fn open_with_any_keys(settings: &Settings) -> Result<Db> {
    open_with(settings).await.map(|(db, _)| db)
}

/// For a command that may come before the first start: database and key file are made if they are missing and nothing needs
/// an older one.
pub async fn make_to_record(settings: &Settings) -> Result<Db> {
    tell_place(settings);
    if !settings.key_file.exists() {
        // Opened without keys and closed again: the key file may be made only where the database needs no older one.
        instance::check_keys_of_command(&make(settings, None).await?, None).await?;
    }
    let keys = Keys::read_or_make(&settings.key_file)?;
    let db = make(settings, Some(&keys)).await?;
    let checked = instance::check_keys_of_command(&db, Some(&keys)).await;
    if matches!(checked, Err(Error::Conflict(_))) {
        keys.take_back(&settings.key_file);
    }
    checked.map(|()| db)
}

/// Makes the database if it is missing, and brings its schema up to date.
pub async fn migrate(settings: &Settings) -> Result<()> {
    tell_place(settings);
    make(settings, None).await.map(drop)
}

async fn make(settings: &Settings, keys: Option<&Keys>) -> Result<Db> {
    Inspection::check_servers(settings).await?;
    let db = Db::open(settings, keys.map(Keys::trail))?;
    db.migrate().await?;
    Ok(db)
}

async fn open_with(settings: &Settings) -> Result<(Db, Keys)> {
    tell_place(settings);
    look(settings).await?;
    let keys = keys(settings)?;
    let db = Db::open_existing(settings, Some(keys.trail()))?;
    db.migrate().await?;
    Ok((db, keys))
}

/// The schema of a database that is there already. A database made here would say nothing of what the server has.
async fn look(settings: &Settings) -> Result<Schema> {
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
            "the database {place} (DATABASE_URL) has no tables of Sessile: name the right one with --database-url, or \
             make them with `sessile migrate`"
        )));
    }
    Ok(found)
}

/// The keys of a file that is there already.
fn keys(settings: &Settings) -> Result<Keys> {
    Keys::read(&settings.key_file)?.ok_or_else(|| {
        let path = std::path::absolute(&settings.key_file).unwrap_or_else(|_| settings.key_file.clone());
        Error::Invalid(format!(
            "there is no key file at {path} (SESSILE_KEY_FILE): name the server's own with --key-file, or restore it from \
             your backup; if it is lost for good, make another with `(umask 077; head -c 64 /dev/urandom | base64 -w0 > \
             {path})`",
            path = path.display()
        ))
    })
}

/// Tells whoever types a command that changes something where it does so.
fn tell_place(settings: &Settings) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Nothing is left to be done about a stderr that is closed.
        let _ = writeln!(stderr, "sessile: the database is {}", settings.database);
    }
}

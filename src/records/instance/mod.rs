//! State that all nodes of an instance share: the fingerprint of the signing key, and the setup links for the first
//! owner. Called at start, by the commands, and by the setup action.
//!
//! Invariant: an instance gets its first owner only once, even if several setup links are valid or several nodes are
//! asked.

pub mod first_open;
pub mod history;

use std::time::Duration;

use diesel::{ExpressionMethods as _, QueryDsl as _};

use crate::{
    base::{
        db::{Conn, Db, find, run, schema::instance},
        error::{Error, Result},
        keys::Keys,
        secret::Secret,
    },
    records::{
        account, audit,
        link::{self, Purpose},
        session::counts,
    },
};

/// Validity of a setup link.
const LINK_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Locks the instance's row until the transaction ends.
pub async fn lock(conn: &mut Conn<'_>) -> Result<()> {
    run!(conn, execute(diesel::update(instance::table).set(instance::id.eq(1)))).map(drop)
}

/// Checks that the keys can verify the live sessions, and stores the fingerprint of the signing key.
///
/// # Errors
/// [`Error::Conflict`] if there are live sessions that the keys cannot verify.
pub async fn check_keys(db: &Db, keys: &Keys) -> Result<()> {
    let keys = keys.clone();
    db.write(async move |conn: &mut Conn<'_>| {
        lock(conn).await?;
        if let Some(known) = fingerprint(conn).await? {
            if known == keys.fingerprint() {
                return audit::begin(conn, keys.trail()).await;
            }
            if !keys.knows(&known) && audit::is_begun(conn).await? {
                tracing::warn!("the key that sealed the audit trail until now is missing from the key file");
            }
        }
        check_needed_keys(conn, Some(&keys)).await?;
        let set = instance::key_fingerprint.eq(Some(keys.fingerprint()));
        run!(conn, execute(diesel::update(instance::table).set(set)))?;
        audit::begin(conn, keys.trail()).await
    })
    .await
}

/// Checks that a command seals its audit events with the same key file as the nodes: it must contain the key whose
/// fingerprint is stored. If no fingerprint is stored, stores that of `keys`. `None` means that the key file is
/// missing.
///
/// # Errors
/// [`Error::Conflict`] if the key is not in the file, and there are live sessions or sealed events.
pub async fn check_keys_of_command(db: &Db, keys: Option<&Keys>) -> Result<()> {
    let keys = keys.cloned();
    db.write(async move |conn: &mut Conn<'_>| {
        lock(conn).await?;
        match (fingerprint(conn).await?, keys) {
            (None, None) => Ok(()),
            (None, Some(keys)) => {
                let set = instance::key_fingerprint.eq(Some(keys.fingerprint()));
                run!(conn, execute(diesel::update(instance::table).set(set)))?;
                audit::begin(conn, keys.trail()).await
            }
            (Some(known), Some(keys)) if keys.knows(&known) => audit::begin(conn, keys.trail()).await,
            (Some(_), _) if counts::any_live(conn).await? || audit::is_begun(conn).await? => Err(Error::Conflict(
                "the server seals the audit trail with another key file (SESSILE_KEY_FILE): run the command with that \
                 file, or restore it from your backup; if it is lost, run `sessile session revoke --all` and start the \
                 server once"
                    .into(),
            )),
            (Some(_), _) => Ok(()),
        }
    })
    .await
}

/// Checks that no live session needs the missing key file.
///
/// # Errors
/// [`Error::Conflict`] if a live session needs it.
pub async fn check_no_keys_needed(db: &Db) -> Result<()> {
    db.read(async |conn: &mut Conn<'_>| check_needed_keys(conn, None).await).await
}

/// Checks that the keys can verify all live sessions. `None` means that the key file is missing. Changes nothing.
///
/// # Errors
/// [`Error::Conflict`] if there are live sessions that the keys cannot verify.
pub async fn check_needed_keys(conn: &mut Conn<'_>, keys: Option<&Keys>) -> Result<()> {
    let Some(known) = fingerprint(conn).await? else { return Ok(()) };
    if keys.is_some_and(|keys| keys.knows(&known)) || !counts::any_live(conn).await? {
        return Ok(());
    }
    Err(wrong_key(match keys {
        Some(_) => "this key file did not sign them",
        None => "the key file is missing",
    }))
}

fn wrong_key(what: &str) -> Error {
    Error::Conflict(format!(
        "there are live sessions, but {what} (SESSILE_KEY_FILE): restore the key file; if it is lost, create a new one \
         (`umask 077; head -c 64 /dev/urandom | base64 -w0`) and end all sessions with `sessile session revoke --all`"
    ))
}

/// The stored fingerprint of the signing key.
pub async fn fingerprint(conn: &mut Conn<'_>) -> Result<Option<String>> {
    let row: Option<Option<String>> = find!(conn, first(instance::table.select(instance::key_fingerprint)))?;
    Ok(row.flatten())
}

/// Creates a setup link and returns its secret. `None` if the instance has an owner.
pub async fn issue_setup_link(db: &Db) -> Result<Option<Secret>> {
    db.write(async |conn: &mut Conn<'_>| {
        lock(conn).await?;
        if account::has_owner(conn).await? {
            return Ok(None);
        }
        let made = link::make(conn, link::NOBODY, Purpose::Setup, LINK_LIFE, audit::OPERATOR).await?;
        Ok(Some(made.token))
    })
    .await
}

/// Whether a setup link is valid. Does not use it up.
pub async fn is_setup_link(conn: &mut Conn<'_>, secret: &Secret) -> Result<bool> {
    let found = link::look_up(conn, secret).await?;
    Ok(found.is_some_and(|link| link.is_good && link.purpose == Purpose::Setup))
}

/// Makes all setup links stop working. Called when the owner was created.
pub async fn close_setup(conn: &mut Conn<'_>) -> Result<()> {
    link::end(conn, link::NOBODY, Purpose::Setup).await.map(drop)
}

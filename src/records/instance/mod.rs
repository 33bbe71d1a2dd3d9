//! What all nodes of an instance agree on: which key signs, and whether there is an owner yet.
//!
//! Invariant: an instance gets its first owner once, however many links are out and however many nodes are asked.

pub mod history;

use std::time::Duration;

use diesel::{ExpressionMethods as _, QueryDsl as _};

use crate::{
    base::{
        db::{
            Conn, Db, find, from_now, now, run,
            schema::{instance, setup_links},
        },
        error::{Error, Result},
        keys::Keys,
        secret::Secret,
    },
    records::{account, audit, session::listing},
};

/// How long a setup link is good.
const LINK_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Locks what all nodes agree on until the transaction ends.
pub async fn lock(conn: &mut Conn<'_>) -> Result<()> {
    run!(conn, execute(diesel::update(instance::table).set(instance::id.eq(1)))).map(drop)
}

/// Makes sure that the keys are those of the living sessions, and remembers the signing one.
///
/// # Errors
/// [`Error::Conflict`] when sessions live that these keys cannot verify.
pub async fn check_keys(db: &Db, keys: &Keys) -> Result<()> {
    let keys = keys.clone();
    db.write(async move |conn: &mut Conn<'_>| {
        lock(conn).await?;
        if let Some(known) = fingerprint(conn).await? {
            if known == keys.fingerprint() {
                return audit::begin(conn, keys.trail()).await;
            }
            if !keys.knows(&known) && audit::is_begun(conn).await? {
                tracing::warn!("the key that sealed the trail until now is missing from the key file");
            }
        }
        check_needed_keys(conn, Some(&keys)).await?;
        let set = instance::key_fingerprint.eq(Some(keys.fingerprint()));
        run!(conn, execute(diesel::update(instance::table).set(set)))?;
        audit::begin(conn, keys.trail()).await
    })
    .await
}

/// Makes sure that what a command records is sealed under a key of the nodes: that one of `keys` is the one which the
/// database remembers, as it will from now on if it knows none. `None` stands for a key file that is missing.
///
/// # Errors
/// [`Error::Conflict`] when none is, and sessions live or events were sealed.
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
            (Some(_), _) if listing::any_live(conn).await? || audit::is_begun(conn).await? => Err(Error::Conflict(
                "this is not the key file that the server seals the trail with (SESSILE_KEY_FILE): give the command the \
                 same one, or restore it from your backup; if it is lost, run `sessile session revoke --all` and start \
                 the server once"
                    .into(),
            )),
            (Some(_), _) => Ok(()),
        }
    })
    .await
}

/// Makes sure that no session lives that a key file which is missing would have to verify.
///
/// # Errors
/// [`Error::Conflict`] when one does.
pub async fn check_no_keys_needed(db: &Db) -> Result<()> {
    db.read(async |conn: &mut Conn<'_>| check_needed_keys(conn, None).await).await
}

/// Makes sure that no session lives that these keys, or no keys, cannot verify. Changes nothing.
///
/// # Errors
/// [`Error::Conflict`] when one does.
pub async fn check_needed_keys(conn: &mut Conn<'_>, keys: Option<&Keys>) -> Result<()> {
    let Some(known) = fingerprint(conn).await? else { return Ok(()) };
    if keys.is_some_and(|keys| keys.knows(&known)) || !listing::any_live(conn).await? {
        return Ok(());
    }
    Err(wrong_key(match keys {
        Some(_) => "the key file is not the one that signed them",
        None => "the key file is missing",
    }))
}

fn wrong_key(what: &str) -> Error {
    Error::Conflict(format!(
        "sessions live and {what} (SESSILE_KEY_FILE): restore it; if it is lost for good, make another \
         (`umask 077; head -c 64 /dev/urandom | base64 -w0`) and end all sessions with `sessile session revoke --all`"
    ))
}

/// The fingerprint of the key that signs.
pub async fn fingerprint(conn: &mut Conn<'_>) -> Result<Option<String>> {
    let row: Option<Option<String>> = find!(conn, first(instance::table.select(instance::key_fingerprint)))?;
    Ok(row.flatten())
}

/// The secret of a new link that creates the owner; `None` when there is one already.
pub async fn issue_setup_link(db: &Db) -> Result<Option<Secret>> {
    db.write(async |conn: &mut Conn<'_>| {
        lock(conn).await?;
        if account::has_owner(conn).await? {
            return Ok(None);
        }
        run!(conn, execute(diesel::delete(setup_links::table.filter(setup_links::expires_at.le(now())))))?;
        let secret = Secret::random()?;
        let row = (setup_links::secret_hash.eq(secret.hash()), setup_links::expires_at.eq(from_now(LINK_LIFE)));
        run!(conn, execute(diesel::insert_into(setup_links::table).values(row)))?;
        Ok(Some(secret))
    })
    .await
}

/// Whether a setup link is still good. Opening it does not use it up.
pub async fn is_setup_link(conn: &mut Conn<'_>, secret: &Secret) -> Result<bool> {
    let hash = secret.hash();
    let found: Option<Vec<u8>> = find!(
        conn,
        first(
            setup_links::table
                .filter(setup_links::secret_hash.eq(&hash))
                .filter(setup_links::expires_at.gt(now()))
                .select(setup_links::secret_hash)
        )
    )?;
    Ok(found.is_some())
}

/// Uses up all links, when an owner was made.
pub async fn close_setup(conn: &mut Conn<'_>) -> Result<()> {
    run!(conn, execute(diesel::delete(setup_links::table))).map(drop)
}

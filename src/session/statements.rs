//! What a login and a confirmation do to a session, in the caller's transaction: create it, give it a new key.
//!
//! Invariant: every change says in its `WHERE` that the session lives; no update becomes an insert.

use diesel::{ExpressionMethods as _, Insertable, QueryDsl as _, SelectableHelper as _};
use serde_json::Value;

use super::{Lifetimes, Record, SessionKey, news};
use crate::{
    db::{Conn, find, from_now, now, run, schema::sessions},
    device::{Client, Shape},
    error::Result,
};

/// A session to be created, or what a session becomes at its rotation.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its new key.
    pub key: SessionKey,
    /// Whose it is.
    pub account_id: String,
    /// On which device.
    pub device_id: String,
    /// From where.
    pub ip: Option<String>,
    /// In which browser.
    pub client: Client,
}

#[derive(Insertable)]
#[diesel(table_name = sessions)]
struct Row<'a> {
    id: &'a str,
    secret_hash: Vec<u8>,
    account_id: &'a str,
    device_id: &'a str,
    ip: Option<&'a str>,
    browser: &'a str,
    os: &'a str,
    kind: Shape,
    installed: bool,
    version: i64,
    state: Value,
    data: &'a str,
}

/// Inserts a session. An id that exists already is an error and overwrites nothing.
///
/// # Errors
/// When the database is away, or the id collides.
pub async fn create(conn: &mut Conn<'_>, new: &NewSession, times: Lifetimes) -> Result<Record> {
    let row = Row {
        id: new.key.id(),
        secret_hash: new.key.secret().hash(),
        account_id: &new.account_id,
        device_id: &new.device_id,
        ip: new.ip.as_deref(),
        browser: &new.client.browser,
        os: &new.client.os,
        kind: new.client.kind,
        installed: new.client.installed,
        version: 1,
        state: Value::Object(serde_json::Map::new()),
        data: "{}",
    };
    run!(
        conn,
        get_result(
            diesel::insert_into(sessions::table)
                .values((
                    row,
                    sessions::created_at.eq(now()),
                    sessions::authenticated_at.eq(now()),
                    sessions::last_activity.eq(now()),
                    sessions::expires_at.eq(from_now(times.idle)),
                    sessions::absolute_expires_at.eq(from_now(times.absolute)),
                ))
                .returning(Record::as_returning())
        )
    )
}

/// Gives a living session of the same account a new id and secret, in one statement: the old key stops working in the
/// instant in which the new one starts. State and data stay. `None` when there is no such session to rotate.
///
/// # Errors
/// When the database is away, or the new id collides.
pub async fn rotate(
    conn: &mut Conn<'_>,
    old: &SessionKey,
    new: &NewSession,
    times: Lifetimes,
) -> Result<Option<Record>> {
    let target = sessions::table
        .filter(sessions::id.eq(old.id()))
        .filter(sessions::secret_hash.eq(old.secret().hash()))
        .filter(sessions::account_id.eq(&new.account_id))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now()));
    let identity = (
        sessions::id.eq(new.key.id()),
        sessions::secret_hash.eq(new.key.secret().hash()),
        sessions::version.eq(sessions::version + 1),
    );
    let origin = (
        sessions::device_id.eq(Some(&new.device_id)),
        sessions::ip.eq(new.ip.as_deref()),
        sessions::browser.eq(&new.client.browser),
        sessions::os.eq(&new.client.os),
        sessions::kind.eq(new.client.kind),
        sessions::installed.eq(new.client.installed),
    );
    let life = (
        sessions::created_at.eq(now()),
        sessions::authenticated_at.eq(now()),
        sessions::last_activity.eq(now()),
        sessions::expires_at.eq(from_now(times.idle)),
        sessions::absolute_expires_at.eq(from_now(times.absolute)),
    );
    let rotated: Option<Record> = find!(
        conn,
        get_result(diesel::update(target).set((identity, origin, life)).returning(Record::as_returning()))
    )?;
    if rotated.is_some() {
        news::rotated(conn, &new.account_id, old.id()).await?;
    }
    Ok(rotated)
}

/// Gives a living session a new id and secret, as after its person has given the password again, in one statement.
/// Everything else of it stays. `false` when it does not live any more.
///
/// # Errors
/// When the database is away, or the new id collides.
pub async fn rekey(conn: &mut Conn<'_>, old: &SessionKey, new: &SessionKey) -> Result<bool> {
    let target = sessions::table
        .filter(sessions::id.eq(old.id()))
        .filter(sessions::secret_hash.eq(old.secret().hash()))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now()));
    let identity = (
        sessions::id.eq(new.id()),
        sessions::secret_hash.eq(new.secret().hash()),
        sessions::version.eq(sessions::version + 1),
        sessions::authenticated_at.eq(now()),
    );
    let account: Option<String> =
        find!(conn, get_result(diesel::update(target).set(identity).returning(sessions::account_id)))?;
    if let Some(account) = &account {
        news::rotated(conn, account, old.id()).await?;
    }
    Ok(account.is_some())
}

/// Notes that the account's present password was given in a session, whose row the caller has locked.
///
/// # Errors
/// When the database is away.
pub async fn confirm(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let session = sessions::table.filter(sessions::id.eq(id)).filter(sessions::ended_at.is_null());
    run!(conn, execute(diesel::update(session).set(sessions::authenticated_at.eq(now())))).map(drop)
}

/// Whose living session a key opens, if it opens one.
///
/// # Errors
/// When the database is away.
pub async fn owner(conn: &mut Conn<'_>, key: &SessionKey) -> Result<Option<String>> {
    find!(
        conn,
        first(
            sessions::table
                .filter(sessions::id.eq(key.id()))
                .filter(sessions::secret_hash.eq(key.secret().hash()))
                .filter(sessions::ended_at.is_null())
                .filter(sessions::expires_at.gt(now()))
                .select(sessions::account_id)
        )
    )
}

/// Notes whether a session is used in an installed app, if that is new.
///
/// # Errors
/// When the database is away.
pub async fn note_installed(conn: &mut Conn<'_>, id: &str, installed: bool) -> Result<()> {
    let session = sessions::table.filter(sessions::id.eq(id)).filter(sessions::ended_at.is_null());
    let other = session.filter(sessions::installed.ne(installed));
    run!(conn, execute(diesel::update(other).set(sessions::installed.eq(installed)))).map(drop)
}

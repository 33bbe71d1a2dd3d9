//! What a login and a confirmation do to a session, in the caller's transaction: create it, give it a new key.
//!
//! A browser may not get the answer that carries its new key. So the row remembers the key from before, and until the new
//! one is first used, whoever asks again with the old one gets the same new key, and the session is rotated no further: a
//! browser is never more than one key behind. After the first use the old key is good for nothing but to end the session.
//!
//! Invariant: every change says in its `WHERE` that the session lives; no update becomes an insert.

use diesel::{
    ExpressionMethods as _, Insertable, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _,
};
use serde_json::Value;

use super::{
    former,
    key::SessionKey,
    key_maker::{KeyMaker, LoginForm},
    key_owner,
    lifetimes::Lifetimes,
    live::{has_not_ended, is_live},
    record::Record,
    service::Sessions,
};
use crate::{
    base::{
        db::{
            Conn, Instant, TouchRow, Touches, find, from_now, now, run,
            schema::{devices, sessions},
        },
        error::{Error, Result},
    },
    records::{
        device::{Client, Shape},
        news,
    },
};

/// A session to be created, or what a session becomes at its rotation.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its new key.
    pub key: SessionKey,
    /// What the key was derived with. With one, the first use of the key is noted, since something else counts until then:
    /// the key or the device secret from before, or the form of the login.
    pub nonce: Option<String>,
    /// The form that begins it, if one does.
    pub form: Option<LoginForm>,
    /// Whose it is.
    pub account_id: String,
    /// On which device.
    pub device_id: String,
    /// From where.
    pub ip: Option<String>,
    /// In which browser.
    pub client: Client,
}

/// The account's live session that a key opens.
macro_rules! living {
    ($account_id:expr, $key:expr) => {
        sessions::table
            .filter(sessions::account_id.eq($account_id))
            .filter(sessions::id.eq($key.id()))
            .filter(sessions::secret_hash.eq($key.secret().hash()))
            .filter(is_live())
    };
}

/// The same, as long as its browser has not shown that it has the key.
macro_rules! unused {
    ($account_id:expr, $key:expr) => {
        living!($account_id, $key).filter(sessions::key_used_at.is_null())
    };
}

/// Where a login comes from.
macro_rules! origin {
    ($new:expr) => {
        (
            sessions::device_id.eq(Some(&$new.device_id)),
            sessions::ip.eq($new.ip.as_deref()),
            sessions::browser.eq(&$new.client.browser),
            sessions::os.eq(&$new.client.os),
            sessions::kind.eq($new.client.kind),
            sessions::installed.eq($new.client.installed),
        )
    };
}

/// A life that begins now.
macro_rules! life {
    ($times:expr) => {
        (
            sessions::created_at.eq(now()),
            sessions::authenticated_at.eq(now()),
            sessions::last_activity.eq(now()),
            sessions::expires_at.eq(from_now($times.idle)),
            sessions::absolute_expires_at.eq(from_now($times.absolute)),
        )
    };
}

/// What a rotation does to a key: `$new` follows `$old`.
macro_rules! identity {
    ($old:expr, $key:expr, $nonce:expr) => {
        (
            sessions::id.eq($key.id()),
            sessions::secret_hash.eq($key.secret().hash()),
            sessions::previous_id.eq($old.id()),
            sessions::key_nonce.eq($nonce),
            sessions::key_used_at.eq(None::<Instant>),
            sessions::login_form.eq(None::<Vec<u8>>),
            sessions::version.eq(sessions::version + 1),
        )
    };
}

#[derive(Insertable)]
#[diesel(table_name = sessions)]
struct SessionColumns<'a> {
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
    let columns = SessionColumns {
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
                    columns,
                    life!(times),
                    sessions::key_nonce.eq(&new.nonce),
                    sessions::login_form.eq(new.form.as_ref().map(LoginForm::hash)),
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
    let target = living!(&new.account_id, old);
    let identity = identity!(old, new.key, &new.nonce);
    let rotated: Option<Record> = find!(
        conn,
        get_result(
            diesel::update(target).set((identity, origin!(new), life!(times))).returning(Record::as_returning())
        )
    )?;
    if rotated.is_some() {
        former::remember(conn, &new.account_id, old, new.key.id()).await?;
        news::rotated(conn, &new.account_id, old.id()).await?;
    }
    Ok(rotated)
}

/// Begins the life of a session anew under the key it has, which nobody has used yet: the login is one that was carried
/// out before, and whose answer was lost. `None` when the session does not live any more, or the key was used.
///
/// # Errors
/// When the database is away.
pub async fn resume(conn: &mut Conn<'_>, new: &NewSession, times: Lifetimes) -> Result<Option<Record>> {
    let target = unused!(&new.account_id, new.key);
    find!(conn, get_result(diesel::update(target).set((origin!(new), life!(times))).returning(Record::as_returning())))
}

/// The key of the account's living session that one of these began, if nobody has used it yet. However long ago that was:
/// until then the session is held by nobody else.
///
/// # Errors
/// When the database is away.
pub async fn begun_by(
    conn: &mut Conn<'_>,
    account_id: &str,
    begun: &[LoginForm],
    keys: &KeyMaker,
) -> Result<Option<SessionKey>> {
    type Begun = (String, Vec<u8>, Option<String>);
    for form in begun {
        let found: Option<Begun> = find!(
            conn,
            first(
                sessions::table
                    .filter(sessions::account_id.eq(account_id))
                    .filter(sessions::login_form.eq(form.hash()))
                    .filter(sessions::key_used_at.is_null())
                    .filter(is_live())
                    .order(sessions::authenticated_at.desc())
                    .select((sessions::id, sessions::secret_hash, sessions::key_nonce))
            )
        )?;
        let secret = |nonce: &str, hash: &[u8]| keys.of_form_again(form, nonce, hash);
        let key =
            found.and_then(|(id, hash, nonce)| Some(SessionKey::from_parts(account_id, id, secret(&nonce?, &hash)?)));
        if key.is_some() {
            return Ok(key);
        }
    }
    Ok(None)
}

/// Gives a session what another session of the same account holds, as if it were that one.
///
/// # Errors
/// When the database is away.
pub async fn inherit(conn: &mut Conn<'_>, account_id: &str, id: &str, from: &str) -> Result<()> {
    let own = |id| sessions::table.filter(sessions::id.eq(id)).filter(sessions::account_id.eq(account_id));
    let held: Option<(Value, String)> = find!(conn, first(own(from).select((sessions::state, sessions::data))))?;
    let Some((state, data)) = held else { return Ok(()) };
    let held = (sessions::state.eq(state), sessions::data.eq(data));
    run!(conn, execute(diesel::update(own(id)).set(held))).map(drop)
}

/// The device of a session of the account.
///
/// # Errors
/// When the database is away.
pub async fn device_of(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<String>> {
    let session = sessions::table.filter(sessions::id.eq(id)).filter(sessions::account_id.eq(account_id));
    let device: Option<Option<String>> = find!(conn, first(session.select(sessions::device_id)))?;
    Ok(device.flatten())
}

/// What came of giving a session a new key.
#[derive(Debug, Clone)]
pub struct Rekeyed {
    /// The new key.
    pub key: SessionKey,
    /// Whether it was made now. Else it is the one that an earlier request has made, and whose answer was lost.
    pub is_new: bool,
}

/// Gives a living session a new id and secret, as after its person has given the password again, in one statement. It
/// counts as activity, in the row too: a touch that waits to be written still has the old id. Everything else stays.
/// `None` when the session does not live any more, or the key is an old one whose successor was used.
///
/// # Errors
/// [`Error::Conflict`] when the session has had too many keys. When the database is away, or the new id collides.
pub async fn rekey(
    conn: &mut Conn<'_>,
    old: &SessionKey,
    node: &Sessions,
    ip: Option<&str>,
) -> Result<Option<Rekeyed>> {
    let account_id = key_owner::account_of(conn, old).await?;
    let new = node.keys.successor(old, &account_id, node.clock.now())?;
    let identity = (identity!(old, new.key, &new.nonce), sessions::authenticated_at.eq(now()));
    let target = living!(&account_id, old);
    let rotated: Option<Record> =
        find!(conn, get_result(diesel::update(target).set(identity).returning(Record::as_returning())))?;
    if let Some(record) = rotated {
        if former::is_full(conn, &record.account_id, new.key.id()).await? {
            return Err(Error::Conflict("this session has had too many keys: sign out, then sign in again".into()));
        }
        former::remember(conn, &record.account_id, old, new.key.id()).await?;
        news::rotated(conn, &record.account_id, old.id()).await?;
        touch(conn, &record, node.times, ip).await?;
        return Ok(Some(Rekeyed { key: new.key, is_new: true }));
    }
    let Some(key) = former::successor(conn, old, &node.keys).await? else {
        return Ok(None);
    };
    let given = sessions::authenticated_at.eq(now());
    let again: Option<Record> = find!(
        conn,
        get_result(diesel::update(unused!(&account_id, key)).set(given).returning(Record::as_returning()))
    )?;
    let Some(record) = again else { return Ok(None) };
    touch(conn, &record, node.times, ip).await?;
    Ok(Some(Rekeyed { key, is_new: false }))
}

/// Writes the activity of a session in which a password was given just now.
async fn touch(conn: &mut Conn<'_>, record: &Record, times: Lifetimes, ip: Option<&str>) -> Result<()> {
    let at = record.authenticated_at;
    let row = TouchRow {
        account_id: record.account_id.clone(),
        id: record.id.clone(),
        at,
        expires_at: at.plus(times.idle).min(record.absolute_expires_at),
        ip: ip.map(str::to_owned).or_else(|| record.ip.clone()),
    };
    run!(conn, execute(Touches(&[row]))).map(drop)
}

/// Notes that a browser has shown that it has a session's present key: from now on the key from before opens nothing.
///
/// # Errors
/// When the database is away.
pub async fn note_use(conn: &mut Conn<'_>, account_id: &str, key: &SessionKey) -> Result<()> {
    run!(conn, execute(diesel::update(unused!(account_id, key)).set(sessions::key_used_at.eq(now().nullable()))))
        .map(drop)
}

/// Notes that a browser has shown that it has a device's present secret: the one from before counts no more.
///
/// # Errors
/// When the database is away.
pub async fn note_device_secret(conn: &mut Conn<'_>, account_id: &str, id: &str, secret_hash: &[u8]) -> Result<()> {
    let device = devices::table.filter(devices::id.eq(id)).filter(devices::account_id.eq(account_id));
    let present = device.filter(devices::secret_hash.eq(secret_hash));
    let forgotten = devices::previous_secret_hash.eq(None::<Vec<u8>>);
    run!(conn, execute(diesel::update(present).set(forgotten))).map(drop)
}

/// Notes that the account's present password was given in a session, whose row the caller has locked.
///
/// # Errors
/// When the database is away.
pub async fn confirm(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<()> {
    let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::id.eq(id));
    let session = own.filter(has_not_ended());
    run!(conn, execute(diesel::update(session).set(sessions::authenticated_at.eq(now())))).map(drop)
}

/// Notes whether a session is used in an installed app, if that is new.
///
/// # Errors
/// When the database is away.
pub async fn note_installed(conn: &mut Conn<'_>, account_id: &str, id: &str, installed: bool) -> Result<()> {
    let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::id.eq(id));
    let session = own.filter(has_not_ended());
    let other = session.filter(sessions::installed.ne(installed));
    run!(conn, execute(diesel::update(other).set(sessions::installed.eq(installed)))).map(drop)
}

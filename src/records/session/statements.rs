//! Creates a session at login, and gives a session a new key at login or confirmation, in the caller's transaction.
//! Called by `actions`.
//!
//! The response that carries a new key may be lost. The row therefore remembers the previous key. Until the new key is
//! first used, a request with the previous key gets the same new key again, and the session is not rotated any further.
//! A browser is thus never more than one key behind. After the first use, the previous key can only end the session.
//!
//! Invariant: a statement that extends or rotates a session checks in its `WHERE` clause that the session is live. No
//! update turns into an insert.

use std::iter;

use diesel::{
    ExpressionMethods as _, Insertable, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _,
};
use serde_json::Value;

use super::{
    amr::Amr,
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
            Conn, Instant, TouchRow, Touches, find, from_now, now, now_if, run,
            schema::{devices, sessions},
        },
        error::{Error, Result},
    },
    records::{
        device::{Client, Shape},
        news,
    },
};

/// A session to create, or the new values of a session that is rotated.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub key: SessionKey,
    /// The nonce from which the key was derived; `None` for a random key. The first use of a derived key is recorded,
    /// because an older secret stays valid until then: the previous key, the previous device secret, or the login form.
    pub nonce: Option<String>,
    /// The login form that starts the session, if any.
    pub form: Option<LoginForm>,
    pub account_id: String,
    pub device_id: String,
    pub ip: Option<String>,
    pub client: Client,
    /// How the person proved who they are.
    pub amr: Amr,
    /// The generation that was current when the sign-in began. A rotation keeps the session's own.
    pub generation: i64,
}

/// The account's live session with this key.
macro_rules! live_session {
    ($account_id:expr, $key:expr) => {
        sessions::table
            .filter(sessions::account_id.eq($account_id))
            .filter(sessions::id.eq($key.id()))
            .filter(sessions::secret_hash.eq($key.secret().hash()))
            .filter(is_live())
    };
}

/// The account's live session with this key, as long as the key is unused.
macro_rules! unused_key {
    ($account_id:expr, $key:expr) => {
        live_session!($account_id, $key).filter(sessions::key_used_at.is_null())
    };
}

/// The columns for the origin of a login: device, address and browser.
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

/// The columns for how the person has just proved who they are.
macro_rules! proved {
    ($amr:expr) => {
        (sessions::amr.eq(Some($amr.as_str())), sessions::second_factor_at.eq(now_if($amr.has_second_factor())))
    };
}

/// The time columns of a session that starts now.
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

/// The columns that a rotation from the key `$old` to `$key` sets.
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
    sid: &'a str,
    generation: i64,
}

/// Inserts a session.
///
/// # Errors
/// When the id already exists. The existing row is not overwritten.
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
        sid: new.key.id(),
        generation: new.generation,
    };
    run!(
        conn,
        get_result(
            diesel::insert_into(sessions::table)
                .values((
                    columns,
                    life!(times),
                    proved!(new.amr),
                    sessions::key_nonce.eq(&new.nonce),
                    sessions::login_form.eq(new.form.as_ref().map(LoginForm::hash)),
                ))
                .returning(Record::as_returning())
        )
    )
}

/// Gives a live session of the account a new id and secret in one statement, so that the old key stops working at the
/// moment at which the new key starts. State and data stay. `None` if the account has no live session with the old key.
///
/// # Errors
/// When the new id already exists.
pub async fn rotate(
    conn: &mut Conn<'_>,
    old: &SessionKey,
    new: &NewSession,
    times: Lifetimes,
) -> Result<Option<Record>> {
    let target = live_session!(&new.account_id, old);
    let identity = identity!(old, new.key, &new.nonce);
    let rotated: Option<Record> = find!(
        conn,
        get_result(
            diesel::update(target)
                .set((identity, origin!(new), life!(times), proved!(new.amr)))
                .returning(Record::as_returning())
        )
    )?;
    if rotated.is_some() {
        former::follow(conn, &new.account_id, old, new.key.id()).await?;
        former::remember(conn, &new.account_id, old, new.key.id()).await?;
        news::rotated(conn, &new.account_id, old.id()).await?;
    }
    Ok(rotated)
}

/// Restarts the lifetime of a session whose key is still unused: the login was committed earlier, but its response was
/// lost. `None` if the session is no longer live or the key has been used.
pub async fn resume(conn: &mut Conn<'_>, new: &NewSession, times: Lifetimes) -> Result<Option<Record>> {
    let target = unused_key!(&new.account_id, new.key);
    let resumed: Option<Record> = find!(
        conn,
        get_result(
            diesel::update(target)
                .set((origin!(new), life!(times), proved!(new.amr)))
                .returning(Record::as_returning())
        )
    )?;
    if resumed.is_some() {
        news::looked_up_changed(conn, iter::once(new.account_id.as_str())).await?;
    }
    Ok(resumed)
}

/// The key of the account's live session that one of these login forms started, if the key is still unused. There is no
/// time limit, because no other browser can have an unused key.
pub async fn begun_by(
    conn: &mut Conn<'_>,
    account_id: &str,
    forms: &[LoginForm],
    keys: &KeyMaker,
) -> Result<Option<SessionKey>> {
    type Begun = (String, Vec<u8>, Option<String>);
    for form in forms {
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

/// Copies state and data from the session `from` of the same account.
pub async fn inherit(conn: &mut Conn<'_>, account_id: &str, id: &str, from: &str) -> Result<()> {
    let own = |id| sessions::table.filter(sessions::id.eq(id)).filter(sessions::account_id.eq(account_id));
    let contents: Option<(Value, String)> = find!(conn, first(own(from).select((sessions::state, sessions::data))))?;
    let Some((state, data)) = contents else { return Ok(()) };
    let contents = (sessions::state.eq(state), sessions::data.eq(data));
    run!(conn, execute(diesel::update(own(id)).set(contents)))?;
    news::looked_up_changed(conn, iter::once(account_id)).await
}

/// `None` if the account has no such session, or the session has no device.
pub async fn device_of(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<String>> {
    let session = sessions::table.filter(sessions::id.eq(id)).filter(sessions::account_id.eq(account_id));
    let device: Option<Option<String>> = find!(conn, first(session.select(sessions::device_id)))?;
    Ok(device.flatten())
}

/// The result of [`rekey`].
#[derive(Debug, Clone)]
pub struct Rekeyed {
    pub key: SessionKey,
    /// Whether this call made the key. Otherwise an earlier request made it, and the response was lost.
    pub is_new: bool,
}

/// Gives a live session a new id and secret in one statement, after its user has entered the password again. Everything
/// else stays. A former key whose successor is still unused gets that successor again. `None` if the session is no
/// longer live, or if the successor has been used.
///
/// The activity is written to the row at once, because a queued touch would carry the old id.
///
/// # Errors
/// [`Error::Conflict`] when the session has had too many keys.
pub async fn rekey(
    conn: &mut Conn<'_>,
    old: &SessionKey,
    node: &Sessions,
    ip: Option<&str>,
) -> Result<Option<Rekeyed>> {
    let account_id = key_owner::account_of(conn, old).await?;
    let new = node.keys.successor(old, &account_id, node.clock.now())?;
    let identity = (identity!(old, new.key, &new.nonce), sessions::authenticated_at.eq(now()));
    let target = live_session!(&account_id, old);
    let rotated: Option<Record> =
        find!(conn, get_result(diesel::update(target).set(identity).returning(Record::as_returning())))?;
    if let Some(record) = rotated {
        former::follow(conn, &record.account_id, old, new.key.id()).await?;
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
    let confirmed_now = sessions::authenticated_at.eq(now());
    let confirmed: Option<Record> = find!(
        conn,
        get_result(diesel::update(unused_key!(&account_id, key)).set(confirmed_now).returning(Record::as_returning()))
    )?;
    let Some(record) = confirmed else { return Ok(None) };
    news::looked_up_changed(conn, iter::once(account_id.as_str())).await?;
    touch(conn, &record, node.times, ip).await?;
    Ok(Some(Rekeyed { key, is_new: false }))
}

/// Writes the activity of a session in which the password was just entered.
async fn touch(conn: &mut Conn<'_>, record: &Record, times: Lifetimes, ip: Option<&str>) -> Result<()> {
    let at = record.authenticated_at;
    let row = TouchRow {
        account_id: record.account_id.clone(),
        id: record.id.clone(),
        at,
        expires_at: at.plus(times.idle).min(record.absolute_expires_at),
        ip: ip.map(str::to_owned).or_else(|| record.ip.clone()),
    };
    Touches::new(&[row]).write(conn).await.map(drop)
}

/// Records that a browser has presented the session's current key. The previous key then opens nothing.
pub async fn note_use(conn: &mut Conn<'_>, account_id: &str, key: &SessionKey) -> Result<()> {
    run!(conn, execute(diesel::update(unused_key!(account_id, key)).set(sessions::key_used_at.eq(now().nullable()))))
        .map(drop)
}

/// Records that a browser has presented the device's current secret. The previous secret is then invalid.
pub async fn note_device_secret(conn: &mut Conn<'_>, account_id: &str, id: &str, secret_hash: &[u8]) -> Result<()> {
    let device = devices::table.filter(devices::id.eq(id)).filter(devices::account_id.eq(account_id));
    let current = device.filter(devices::secret_hash.eq(secret_hash));
    let cleared = devices::previous_secret_hash.eq(None::<Vec<u8>>);
    run!(conn, execute(diesel::update(current).set(cleared))).map(drop)
}

/// Records that the account's current password was entered in a session. The caller has locked the session's row.
pub async fn confirm(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<()> {
    let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::id.eq(id));
    let session = own.filter(has_not_ended());
    run!(conn, execute(diesel::update(session).set(sessions::authenticated_at.eq(now()))))?;
    news::looked_up_changed(conn, iter::once(account_id)).await
}

/// Lets a session that was handed over from another one prove no more than that one did, and last no longer. Returns its
/// record. The caller has locked both rows.
pub async fn hand_on(conn: &mut Conn<'_>, from: &Record, to: &Record) -> Result<Record> {
    let end = to.absolute_expires_at.min(from.absolute_expires_at);
    let own = sessions::table.filter(sessions::account_id.eq(&to.account_id)).filter(sessions::id.eq(&to.id));
    let limits = (
        sessions::authenticated_at.eq(from.authenticated_at),
        sessions::amr.eq(&from.amr),
        sessions::second_factor_at.eq(from.second_factor_at),
        sessions::absolute_expires_at.eq(end),
        sessions::expires_at.eq(to.expires_at.min(end)),
    );
    let session = diesel::update(own.filter(has_not_ended())).set(limits);
    let record = run!(conn, get_result(session.returning(Record::as_returning())))?;
    news::looked_up_changed(conn, iter::once(to.account_id.as_str())).await?;
    Ok(record)
}

/// Records whether a session is used in an installed app. Writes nothing if the value is unchanged.
pub async fn note_installed(conn: &mut Conn<'_>, account_id: &str, id: &str, installed: bool) -> Result<()> {
    let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::id.eq(id));
    let session = own.filter(has_not_ended());
    let changed = session.filter(sessions::installed.ne(installed));
    if run!(conn, execute(diesel::update(changed).set(sessions::installed.eq(installed))))? > 0 {
        news::looked_up_changed(conn, iter::once(account_id)).await?;
    }
    Ok(())
}

/// Records that the person has just given these proofs in a session, besides those that the session began with. The caller
/// has locked the session's row.
pub async fn prove(conn: &mut Conn<'_>, account_id: &str, id: &str, given: &Amr) -> Result<()> {
    let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::id.eq(id));
    let known: Option<Option<String>> = find!(conn, first(own.filter(has_not_ended()).select(sessions::amr)))?;
    let Some(known) = known else { return Ok(()) };
    let amr = known.as_deref().map_or_else(Amr::password, Amr::of_row).with(given);
    run!(conn, execute(diesel::update(own.filter(has_not_ended())).set(sessions::amr.eq(Some(amr.as_str())))))?;
    if given.has_second_factor() {
        let at = sessions::second_factor_at.eq(now().nullable());
        run!(conn, execute(diesel::update(own.filter(has_not_ended())).set(at)))?;
    }
    news::looked_up_changed(conn, iter::once(account_id)).await
}

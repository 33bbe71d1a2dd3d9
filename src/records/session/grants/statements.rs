//! Creates and removes grants, in the caller's transaction. Called by `actions::apps`.
//!
//! Invariant: a grant is created only while its session is locked and live. A removal is announced.

use std::iter;

use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use super::{
    super::{
        live::is_live,
        record::{Record, SessionRef},
    },
    key::GrantKey,
};
use crate::{
    base::{
        db::{
            Conn, ForUpdate, find, now, run,
            schema::{app_grants, sessions},
        },
        error::{Error, Result},
    },
    records::news,
};

/// How many grants of one session and app are kept. Two tabs that open an app at once have one each.
const MOST: i64 = 4;

/// Makes sure that the session's lifelong name is stored, and returns it. The caller has locked the session's row.
pub async fn name_session(conn: &mut Conn<'_>, session: &SessionRef) -> Result<String> {
    let own =
        || sessions::table.filter(sessions::account_id.eq(&session.account_id)).filter(sessions::id.eq(&session.id));
    let sid: Option<Option<String>> = find!(conn, first(own().select(sessions::sid)))?;
    if let Some(sid) = sid.ok_or(Error::NotFound)? {
        return Ok(sid);
    }
    run!(conn, execute(diesel::update(own()).set(sessions::sid.eq(Some(&session.id)))))?;
    news::looked_up_changed(conn, iter::once(session.account_id.as_str())).await?;
    Ok(session.id.clone())
}

/// Locks the account's live session with this lifelong name. `None` if it is not live.
pub async fn lock_session(conn: &mut Conn<'_>, account_id: &str, sid: &str) -> Result<Option<Record>> {
    let live =
        sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::sid.eq(sid)).filter(is_live());
    let mut rows: Vec<Record> = run!(conn, load(ForUpdate::wait(live.select(Record::as_select()))))?;
    Ok(rows.pop())
}

/// Creates a grant and removes the oldest ones over the limit. Returns its key, and whether the session had not opened
/// the app before.
pub async fn create(conn: &mut Conn<'_>, account_id: &str, sid: &str, app_id: &str) -> Result<(GrantKey, bool)> {
    let of_app = || {
        app_grants::table
            .filter(app_grants::account_id.eq(account_id))
            .filter(app_grants::sid.eq(sid))
            .filter(app_grants::app_id.eq(app_id))
    };
    let older: Vec<String> =
        run!(conn, load(of_app().order((app_grants::created_at.desc(), app_grants::id)).select(app_grants::id)))?;
    let kept = usize::try_from(MOST - 1).unwrap_or_default();
    let surplus: Vec<&str> = older.iter().skip(kept).map(String::as_str).collect();
    if !surplus.is_empty() {
        let own = app_grants::table.filter(app_grants::account_id.eq(account_id));
        run!(conn, execute(diesel::delete(own.filter(app_grants::id.eq_any(surplus)))))?;
        news::looked_up_changed(conn, iter::once(account_id)).await?;
    }
    let key = GrantKey::generate(account_id)?;
    let row = (
        app_grants::account_id.eq(account_id),
        app_grants::id.eq(key.id()),
        app_grants::app_id.eq(app_id),
        app_grants::sid.eq(sid),
        app_grants::secret_hash.eq(key.secret().hash()),
        app_grants::created_at.eq(now()),
    );
    run!(conn, execute(diesel::insert_into(app_grants::table).values(row)))?;
    Ok((key, older.is_empty()))
}

/// Whether the session has a grant for this app.
pub async fn has_opened(conn: &mut Conn<'_>, account_id: &str, sid: &str, app_id: &str) -> Result<bool> {
    let one: Option<String> = find!(
        conn,
        first(
            app_grants::table
                .filter(app_grants::account_id.eq(account_id))
                .filter(app_grants::sid.eq(sid))
                .filter(app_grants::app_id.eq(app_id))
                .select(app_grants::id)
        )
    )?;
    Ok(one.is_some())
}

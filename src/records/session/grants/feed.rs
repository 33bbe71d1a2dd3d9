//! What an app's server may learn about sessions that opened the app: which have ended, and which are live. Called by the
//! API for apps. Both go through the sessions of many accounts, through an index and in bounded portions.
//!
//! Invariant: an app learns nothing about a session that never opened it.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _,
};

use super::super::{
    ended::EndReason,
    live::{ended_after, ended_from, is_live},
};
use crate::base::{
    db::{
        Conn, Instant, run,
        schema::{app_grants, sessions},
    },
    error::Result,
};

/// A session that opened the app and has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedAtApp {
    pub at: Instant,
    /// The session's lifelong name.
    pub sid: String,
    pub account_id: String,
    pub reason: EndReason,
}

/// A place in the order of ends: the time, the account and the session's lifelong name.
pub type Place = (Instant, String, String);

impl EndedAtApp {
    pub fn place(&self) -> Place {
        (self.at, self.account_id.clone(), self.sid.clone())
    }
}

/// Join condition for the session of a grant.
#[diesel::dsl::auto_type(no_type_alias)]
fn own_session() -> _ {
    app_grants::account_id.eq(sessions::account_id).and(app_grants::sid.nullable().eq(sessions::sid))
}

/// The next sessions that opened the app and have ended, after this place; at most `many`. Written so that the database
/// reads only the portion, and so that a row that is deleted meanwhile makes no other row be left out.
pub async fn ended(conn: &mut Conn<'_>, app_id: &str, after: &Place, many: i64) -> Result<Vec<EndedAtApp>> {
    let (at, account_id, sid) = after;
    let later = ended_after(*at)
        .or(app_grants::account_id.gt(account_id))
        .or(app_grants::account_id.eq(account_id).and(app_grants::sid.gt(sid)));
    type Row = (Option<Instant>, Option<EndReason>, String, String);
    let rows: Vec<Row> = run!(
        conn,
        load(
            app_grants::table
                .inner_join(sessions::table.on(own_session()))
                .filter(app_grants::app_id.eq(app_id))
                .filter(ended_from(*at))
                .filter(later)
                .order((sessions::ended_at, app_grants::account_id, app_grants::sid))
                .select((
                    sessions::ended_at,
                    sessions::ended_reason.nullable(),
                    app_grants::sid,
                    app_grants::account_id
                ))
                .distinct()
                .limit(many)
        )
    )?;
    let ended = |(at, reason, sid, account_id): Row| Some(EndedAtApp { at: at?, sid, account_id, reason: reason? });
    Ok(rows.into_iter().filter_map(ended).collect())
}

/// Those of the sessions that opened the app and are live.
pub async fn living(conn: &mut Conn<'_>, app_id: &str, sids: &[String]) -> Result<Vec<String>> {
    run!(
        conn,
        load(
            app_grants::table
                .inner_join(sessions::table.on(own_session()))
                .filter(app_grants::app_id.eq(app_id))
                .filter(app_grants::sid.eq_any(sids))
                .filter(is_live())
                .select(app_grants::sid)
                .distinct()
        )
    )
}

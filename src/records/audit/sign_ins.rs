//! An account's recent sign-ins. Called by the dashboard for its chart.
//!
//! Invariant: a read loads at most 1,000 rows per kind.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::event::Kind;
use crate::base::{
    db::{Conn, Instant, before_now, run, schema::audit},
    error::Result,
};

/// The account's successful and failed sign-ins of the last `days` days: at most the newest 1,000 of each kind.
pub async fn sign_ins_of_last_days(conn: &mut Conn<'_>, account_id: &str, days: u32) -> Result<Vec<(Kind, Instant)>> {
    let since = before_now(std::time::Duration::from_secs(u64::from(days) * 86_400));
    let mut sign_ins = Vec::new();
    for kind in [Kind::LoginSucceeded, Kind::LoginFailed] {
        // Limit the rows and compare the times in the result: no index covers both the account and the time.
        let newest: Vec<(Kind, Instant, bool)> = run!(
            conn,
            load(
                audit::table
                    .filter(audit::account_id.eq(account_id))
                    .filter(audit::kind.eq(kind))
                    .order(audit::id.desc())
                    .limit(1000)
                    .select((audit::kind, audit::at, audit::at.gt(since)))
            )
        )?;
        sign_ins.extend(newest.into_iter().filter(|(_, _, recent)| *recent).map(|(kind, at, _)| (kind, at)));
    }
    Ok(sign_ins)
}

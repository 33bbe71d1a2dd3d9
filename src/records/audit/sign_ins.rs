//! When an account signed in lately, for the picture on the dashboard.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::event::Kind;
use crate::base::{
    db::{Conn, Instant, before_now, run, schema::audit},
    error::Result,
};

/// When the account signed in, or failed to, in the last days: of each at most 1,000, the newest.
pub async fn sign_ins_of_last_days(conn: &mut Conn<'_>, account_id: &str, days: u32) -> Result<Vec<(Kind, Instant)>> {
    let since = before_now(std::time::Duration::from_secs(u64::from(days) * 86_400));
    let mut sign_ins = Vec::new();
    for kind in [Kind::LoginSucceeded, Kind::LoginFailed] {
        // Bounded before the times are looked at, which no index has beside the account.
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

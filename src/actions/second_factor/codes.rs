//! The recovery codes: a new set with the first second factor, and whenever the person asks for one. Called by
//! [`manage`](super::manage) and by the passkeys.
//!
//! Invariant: a set replaces the one before as a whole. The codes leave this module once, for the answer that shows them.

use crate::{
    base::{db::Conn, error::Result, recovery_code::RecoveryCode},
    records::{
        account::factors,
        audit::{self, Event, Kind},
        second_factor::recovery,
        session::Sessions,
    },
};

/// Makes the recovery codes if the account has just got its first second factor. `event` names who did it. The caller has
/// locked the account's row, and added the factor.
pub(in crate::actions) async fn make_with_first_factor(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    (account_id, event): (&str, &Event),
) -> Result<Option<Vec<RecoveryCode>>> {
    match factors::state(conn, account_id).await? {
        Some(state) if state.count == 1 => make(conn, sessions, (account_id, event)).await.map(Some),
        _ => Ok(None),
    }
}

/// Makes a new set. The caller has locked the account's row.
pub(super) async fn make(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    (account_id, event): (&str, &Event),
) -> Result<Vec<RecoveryCode>> {
    let codes = RecoveryCode::random_set()?;
    let sealed: Result<Vec<_>> = codes.iter().map(|code| sessions.sealing.seal(account_id, &code.hash())).collect();
    recovery::replace(conn, account_id, &sealed?).await?;
    audit::record(conn, &[event.clone().about(Kind::RecoveryMade)]).await?;
    Ok(codes)
}

//! Compares the audit trail with a digest from a server's log, to find events that were removed or changed since.
//! Called by [`doctor`](super).
//!
//! Invariant: the chains are verified before the comparison.

use super::inputs::{Patient, away, events_of_accounts, unseen};
use crate::{
    base::{
        db::{Conn, Instant, now, run},
        error::Result,
        keys::AuditKeys,
    },
    records::audit::{
        anchor::{self, Anchor, Compared},
        verify::Wrong,
    },
    serve::risks::Finding,
};

/// Compares the audit trail with the given line. The chains must have been verified before.
pub(super) async fn since(patient: &mut Patient) -> Finding {
    let (Some(anchor), Some(verified)) = (&patient.anchor, &patient.verified) else {
        return Err("not compared: the audit trail was not checked".to_owned());
    };
    let database = patient.database.as_mut().map_err(|_| unseen())?.as_mut().ok_or_else(unseen)?;
    let Ok(Some(keys)) = &patient.keys else { return Err(unseen()) };
    let result = compare(&mut database.conn(), keys.trail(), anchor).await;
    let (compared, now) = result.map_err(|error| away(&error))?;
    let is_old = now.since(anchor.at) > patient.settings.audit_ttl;
    let then = anchor.at.rfc3339();
    let remedy =
        "the database was changed by something other than this program; keep a copy, and compare with a backup";
    match (compared, &verified.astray) {
        (Compared::AsThen, (0, _)) => Ok(format!(
            "the line of {then} counts {}: all are present, or were removed when they were old",
            events_of_accounts(anchor.links.unsigned_abs(), anchor.accounts.unsigned_abs())
        )),
        (Compared::AsThen, (some, first)) => Err(format!(
            "events at {then} are missing or changed; number of accounts: {some}, the first: {}; {remedy}",
            first.as_deref().unwrap_or_default()
        )),
        (Compared::Gone(account), _) => Err(format!("account {account} existed at {then} and is missing: {remedy}")),
        (Compared::Changed, _) if is_old => {
            Err("the line is older than SESSILE_AUDIT_TTL: its events are no longer kept".to_owned())
        }
        (Compared::Changed, _) => {
            Err(format!("the stored state of the audit trail at {then} differs from the line: {remedy}"))
        }
        (Compared::Restored, _) => Err(format!(
            "the line of {then} is newer than the backup that was restored since: the events in between are missing"
        )),
        (Compared::Forged, _) => Err("no server with this key file wrote this line".to_owned()),
        (Compared::KeyMissing(id), _) => Err(Wrong::KeyMissing(id).to_string()),
    }
}

async fn compare(conn: &mut Conn<'_>, keys: &AuditKeys, anchor: &Anchor) -> Result<(Compared, Instant)> {
    let compared = anchor::compare(conn, keys, anchor).await?;
    Ok((compared, run!(conn, get_result(diesel::select(now())))?))
}

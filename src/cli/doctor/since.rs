//! Whether the audit trail still contains what it contained when a server logged a digest of it. Called by [`doctor`](super).

use super::patient::{Patient, away, unseen};
use crate::{
    base::{
        db::{Conn, Instant, now, run as query},
        error::Result,
        keys::AuditKeys,
    },
    records::audit::{
        anchor::{self, Anchor, Compared},
        verify::Wrong,
    },
    serve::risks::Finding,
};

/// Compares the trail with the line that was given. The chains have been walked before.
pub(super) async fn since(patient: &mut Patient) -> Finding {
    let (Some(anchor), Some(verified)) = (&patient.anchor, &patient.verified) else {
        return Err("not compared: the trail could not be looked at".to_owned());
    };
    let database = patient.database.as_mut().map_err(|_| unseen())?.as_mut().ok_or_else(unseen)?;
    let Ok(Some(keys)) = &patient.keys else { return Err(unseen()) };
    let looked = look(&mut database.conn(), keys.trail(), anchor).await;
    let (compared, now) = looked.map_err(|error| away(&error))?;
    let is_old = now.since(anchor.at) > patient.settings.audit_ttl;
    let then = anchor.at.rfc3339();
    let remedy = "somebody or something changed the database past this program; keep a copy, and compare with a backup";
    match (compared, &verified.astray) {
        (Compared::AsThen, (0, _)) => Ok(format!(
            "{} events of {} accounts that were there at {then} are there, or were removed when they were old",
            anchor.links, anchor.accounts
        )),
        (Compared::AsThen, (some, first)) => Err(format!(
            "of {some} accounts events that were there at {then} are missing or are others, first of account {}: {remedy}",
            first.as_deref().unwrap_or_default()
        )),
        (Compared::Gone(account), _) => Err(format!("account {account} was there at {then} and is gone: {remedy}")),
        (Compared::Changed, _) if is_old => {
            Err("the line is older than SESSILE_AUDIT_TTL: what it counts is not kept so long".to_owned())
        }
        (Compared::Changed, _) => {
            Err(format!("what is known of the trail at {then} is not what the line says: {remedy}"))
        }
        (Compared::Restored, _) => Err(format!(
            "the line of {then} is later than the backup that was restored since: what happened in between is missing"
        )),
        (Compared::Forged, _) => Err("no server with this key file has written this line".to_owned()),
        (Compared::KeyMissing(id), _) => Err(Wrong::KeyMissing(id).to_string()),
    }
}

async fn look(conn: &mut Conn<'_>, keys: &AuditKeys, anchor: &Anchor) -> Result<(Compared, Instant)> {
    let compared = anchor::compare(conn, keys, anchor).await?;
    Ok((compared, query!(conn, get_result(diesel::select(now())))?))
}

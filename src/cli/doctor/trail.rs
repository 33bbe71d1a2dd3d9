//! Checks that the audit trail is unchanged. Called by [`doctor`](super).
//!
//! Invariant: a check that was stopped is never reported as passed, and names what it found until then.

use super::{
    super::{output::in_words, progress::Progress},
    inputs::{Patient, away, events_of_accounts, unseen},
};
use crate::{
    base::db::Schema,
    records::{
        account,
        audit::{
            mark::Mark,
            verify::{Verified, Wrong, has_trail, verify_while},
        },
    },
    serve::risks::Finding,
};

/// Checks that the events of every account are unchanged since they were recorded.
pub(super) async fn trail(patient: &mut Patient) -> Finding {
    let Some(database) = patient.database.as_mut().map_err(|_| unseen())? else {
        return Ok("no events yet".to_owned());
    };
    if !matches!(patient.schema, Ok(Schema::Current(_))) {
        return Ok("not checked: the schema is not current".to_owned());
    }
    let mut conn = database.conn();
    let Ok(Some(keys)) = &patient.keys else {
        return match account::any(&mut conn).await.map_err(|error| away(&error))? {
            true => {
                Err("not checked: the key file is missing or cannot be read (SESSILE_KEY_FILE): restore it".to_owned())
            }
            false => Ok("no events of accounts yet".to_owned()),
        };
    };
    let after = patient.trail_after.as_deref();
    if let Some(id) = after
        && !has_trail(&mut conn, id).await.map_err(|error| away(&error))?
    {
        return Err(format!("not checked: there is no account with the id {id} (--trail-after)"));
    }
    let number = patient.anchor.as_ref().map(|anchor| anchor.number);
    let mut last = after.map(str::to_owned);
    let progress = Progress::begin();
    progress.about("checking audit events");
    let from = (number, after.unwrap_or_default());
    let verified = verify_while(&mut conn, keys.trail(), from, |account, events| {
        last = Some(account.to_owned());
        progress.after(events)
    });
    let verified = verified.await;
    let finished = progress.finish(&match (number, last) {
        (None, Some(last)) => {
            format!(
                "not all events were checked; `sessile doctor --trail-after {last}` continues with the next account"
            )
        }
        // A line of `--since` counts the events of all accounts.
        _ => "not all events were checked; run the command again; it starts from the beginning".to_owned(),
    });
    let verified = verified.map_err(|error| away(&error))?;
    let problem = problem(&verified).or_else(|| mark_problem(&verified, after.is_some()));
    match (problem, finished) {
        // A run with `--trail-after` skips these accounts, so report their problems now.
        (Some(problem), Err(stopped)) => Err(format!("{problem}; {}", in_words(&stopped))),
        (None, Err(stopped)) => Err(in_words(&stopped)),
        (Some(problem), Ok(())) => {
            patient.verified = Some(verified);
            Err(problem)
        }
        (None, Ok(())) => {
            let limits = after.map(|id| format!("; accounts up to {id} were not checked")).unwrap_or_default();
            Ok(summary(patient.verified.insert(verified)) + &limits)
        }
    }
}

/// The first problem with the events of an account, and how many accounts have one. `None` if there is none.
fn problem(verified: &Verified) -> Option<String> {
    let first = verified.findings.first()?;
    let more = match verified.broken + verified.uncheckable - 1 {
        0 => String::new(),
        1 => ", and 1 more account".to_owned(),
        more => format!(", and {more} more accounts"),
    };
    let remedy = if verified.broken > 0 {
        ": the database was changed by something other than this program; keep a copy, and compare with a backup"
    } else {
        ""
    };
    Some(format!("{first}{more}{remedy}"))
}

/// The problem with the mark that shows that the audit trail has begun; `None` if the mark is valid, or if there are no
/// accounts yet. A check of a part of the accounts may find none in it.
fn mark_problem(verified: &Verified, is_part: bool) -> Option<String> {
    match &verified.mark {
        Mark::Sealed => None,
        Mark::Missing if verified.accounts == 0 && !is_part => None,
        Mark::Missing => Some(
            "not begun: start the server once; if this version was started before, something other than this program removed \
             the mark from the database: keep a copy, and compare with a backup"
                .to_owned(),
        ),
        Mark::Broken => Some(
            "the mark of its beginning was changed by something other than this program; keep a copy, and compare \
             with a backup"
                .to_owned(),
        ),
        Mark::KeyMissing(id) => Some(Wrong::KeyMissing(id.clone()).to_string()),
    }
}

fn summary(verified: &Verified) -> String {
    let Verified { accounts, links, unchained, removed, .. } = verified;
    let older =
        if *unchained > 0 { format!(", and {unchained} from before events were sealed") } else { String::new() };
    let removed = if *removed > 0 { format!("; {removed} older ones were removed") } else { String::new() };
    format!("unchanged since they were recorded: {}{older}{removed}", events_of_accounts(*links, *accounts))
}

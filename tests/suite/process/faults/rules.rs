//! The four rules that every log must follow, whatever the fault:
//!
//! 1. An acknowledged login works until it ends.
//! 2. After an end that was acknowledged or seen by any client, no later request of that session succeeds.
//! 3. A change whose answer was a 503 or is missing may have been made or not.
//! 4. Each acknowledged change has exactly one audit event, and no two events contradict each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::log::{Asked, Entry, Said, Session};

/// An audit event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub kind: String,
    pub session: String,
    pub detail: String,
}

/// The content of the database after the storm.
#[derive(Debug, Default)]
pub struct Stored {
    pub trail: Vec<Row>,
    /// The ids of sessions that have not ended.
    pub living: BTreeSet<String>,
}

/// Describes every breach of the rules. The log must contain a request of each session after the storm.
pub fn breaches(log: &[Entry], stored: &Stored) -> Vec<String> {
    let mut found: Vec<String> =
        log.iter().filter(|entry| matches!(entry.said, Said::Wrong(_))).map(|entry| format!("{entry:?}")).collect();
    let mut uses: BTreeMap<&Session, Vec<&Entry>> = BTreeMap::new();
    for entry in log {
        if let Some(session) = &entry.with {
            uses.entry(session).or_default().push(entry);
        }
    }
    for uses in uses.values() {
        works_until_it_ends(uses, &mut found);
        stays_ended(uses, &mut found);
    }
    keeps_its_data(log, &uses, stored, &mut found);
    acknowledged_changes_have_one_row(log, &uses, stored, &mut found);
    trail_contradicts_nothing(stored, &mut found);
    found
}

/// Rule 1: no client sees that a session has ended before any client has tried to end it.
fn works_until_it_ends(uses: &[&Entry], found: &mut Vec<String>) {
    for (n, refused) in uses.iter().enumerate().filter(|(_, entry)| entry.said == Said::Ended) {
        let others = uses.iter().enumerate().filter(|(other, entry)| *other != n && may_end(entry));
        let first_try = others.map(|(_, entry)| entry.started).min();
        if first_try.is_none_or(|tried| refused.ended < tried) {
            found.push(format!("1: it was acknowledged and nobody had ended it: {refused:?}"));
        }
    }
}

/// Rule 2: an ended session stays ended.
fn stays_ended(uses: &[&Entry], found: &mut Vec<String>) {
    let Some(end) = uses.iter().filter_map(|entry| known_end(entry)).min() else { return };
    for entry in uses.iter().filter(|entry| entry.started > end && is_use(entry)) {
        found.push(format!("2: it had ended by {end:?}: {entry:?}"));
    }
}

/// Whether the request could have ended the session: a logout, or a login over it, with any answer.
fn may_end(entry: &Entry) -> bool {
    matches!(entry.asked, Asked::Logout | Asked::Login) && entry.said != Said::Ended
}

/// The time from which on the session is known to have ended.
fn known_end(entry: &Entry) -> Option<Duration> {
    let acknowledged =
        matches!((entry.asked, &entry.said), (Asked::Logout, Said::Done) | (Asked::Login, Said::Begun(_)));
    (acknowledged || entry.said == Said::Ended).then_some(entry.ended)
}

/// Whether the success needed a live session. A login over an ended session does not.
fn is_use(entry: &Entry) -> bool {
    entry.is_success() && entry.asked != Asked::Login
}

/// Rules 1 and 3 for data: it has the value acknowledged last, or a value sent since.
fn keeps_its_data(log: &[Entry], uses: &BTreeMap<&Session, Vec<&Entry>>, stored: &Stored, found: &mut Vec<String>) {
    // A login with a lost answer gives the session another id, and the old key may still have written.
    let is_of_same = |n: Option<u64>, id: &str| {
        let own = now_called(id, &stored.trail);
        log.iter().any(|entry| {
            matches!(entry.asked, Asked::Change(sent) if Some(sent) == n)
                && entry.with.as_ref().is_some_and(|with| now_called(&with.id, &stored.trail) == own)
        })
    };
    let mut at_birth: BTreeMap<Arc<Session>, BTreeSet<Option<u64>>> = BTreeMap::new();
    let mut by_former_keys: BTreeMap<&str, BTreeSet<Option<u64>>> = BTreeMap::new();
    for entry in log {
        if let (Asked::Change(n), Said::Moved(next)) = (entry.asked, &entry.said) {
            by_former_keys.entry(next.id.as_str()).or_default().insert(Some(n));
        }
    }
    // Go through logins in the order of their answers: a session that was logged in over then comes before its
    // successor.
    for login in log {
        let Said::Begun(session) = &login.said else { continue };
        let mut possible = at_birth.remove(session).unwrap_or_else(|| [None].into());
        possible.extend(by_former_keys.get(session.id.as_str()).into_iter().flatten());
        let mut mine: Vec<&&Entry> = uses.get(&**session).into_iter().flatten().collect();
        mine.sort_by_key(|entry| entry.started);
        // True until the first acknowledged change with this id: one whose answer was lost may not have been made.
        let mut is_new = true;
        for entry in mine {
            is_new &= !matches!((entry.asked, &entry.said), (Asked::Change(_), Said::Done));
            match (&entry.asked, &entry.said) {
                (Asked::Change(n), Said::Done) => possible = [Some(*n)].into(),
                (Asked::Change(n), Said::Away | Said::Silence) => drop(possible.insert(Some(*n))),
                (Asked::Data, Said::Holds(n)) if !(possible.contains(n) || is_new && is_of_same(*n, &session.id)) => {
                    found.push(format!("1: its data is none of {possible:?}: {entry:?}"));
                }
                (Asked::Login, Said::Begun(next)) => {
                    // If the old session may have ended before the login, the new one may also begin without data.
                    let mut inherited = possible.clone();
                    inherited.insert(None);
                    let kept = if was_surely_alive(entry, &uses[&**session]) { possible.clone() } else { inherited };
                    at_birth.insert(Arc::clone(next), kept);
                }
                _ => {}
            }
        }
    }
}

/// Whether no other request can have ended the session before this login over it.
fn was_surely_alive(login: &Entry, uses: &[&Entry]) -> bool {
    !uses.iter().any(|entry| may_end(entry) && entry.started < login.started)
}

/// The last id of a session. A login with a lost answer gives it another id, and its old key can still end it.
fn now_called<'a>(id: &'a str, trail: &'a [Row]) -> &'a str {
    let was = format!("was {id}");
    let next = trail.iter().find(|row| row.kind == "session.regenerated" && row.detail == was);
    next.map_or(id, |row| now_called(&row.session, trail))
}

/// Rule 4 for acknowledged changes: each has one audit event.
fn acknowledged_changes_have_one_row(
    log: &[Entry],
    uses: &BTreeMap<&Session, Vec<&Entry>>,
    stored: &Stored,
    found: &mut Vec<String>,
) {
    let mut rows: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for row in &stored.trail {
        rows.entry((&row.kind, &row.session)).or_default().push(&row.detail);
    }
    let of = |kind, session| rows.get(&(kind, session)).cloned().unwrap_or_default();
    for entry in log {
        match (&entry.asked, &entry.said, &entry.with) {
            (Asked::Login, Said::Begun(session), over) => {
                let began = (of("session.created", &session.id), of("session.regenerated", &session.id));
                let new = (vec![""], vec![]);
                let rotated = over.as_ref().map(|over| (vec![], vec![format!("was {}", over.id)]));
                let rotated =
                    rotated.as_ref().map(|(none, was)| (none.clone(), was.iter().map(String::as_str).collect()));
                let sure = over.as_ref().is_some_and(|over| was_surely_alive(entry, &uses[&**over]));
                let right = Some(&began) == rotated.as_ref() || (!sure && began == new);
                // A login repeated after a lost answer leads to the same session.
                if !right || of("login.succeeded", &session.id).is_empty() {
                    found.push(format!("4: the trail says {began:?} of the login {entry:?}"));
                }
            }
            (Asked::Logout, Said::Done, Some(session))
                if of("logout", now_called(&session.id, &stored.trail)).len() != 1 =>
            {
                found.push(format!("4: the trail says {:?} of the logout {entry:?}", of("logout", &session.id)));
            }
            _ => {}
        }
    }
}

/// Rule 4 for all changes: each session began once, and then lives, was signed out, or continued under a single other
/// id.
fn trail_contradicts_nothing(stored: &Stored, found: &mut Vec<String>) {
    let all = |kinds: &[&str]| -> Vec<&Row> {
        stored.trail.iter().filter(|row| kinds.contains(&row.kind.as_str())).collect()
    };
    let began = all(&["session.created", "session.regenerated"]);
    let mut left: BTreeSet<&str> = began.iter().map(|row| row.session.as_str()).collect();
    if left.len() != began.len() || all(&["login.succeeded"]).len() != began.len() {
        found.push("4: a session began twice, or without a login".to_owned());
    }
    let rotated = all(&["session.regenerated"]);
    let rotated = rotated.iter().map(|row| row.detail.strip_prefix("was ").unwrap_or_default());
    for id in rotated.chain(all(&["logout"]).iter().map(|row| row.session.as_str())) {
        if !left.remove(id) {
            found.push(format!("4: {id} ended twice, or never began"));
        }
    }
    if left != stored.living.iter().map(String::as_str).collect() {
        found.push(format!("4: of the trail {left:?} should live, and these do: {:?}", stored.living));
    }
}

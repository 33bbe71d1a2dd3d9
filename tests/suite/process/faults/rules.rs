//! The four rules that a log must keep, whatever the fault was:
//!
//! 1. an acknowledged login works until it ends;
//! 2. after an acknowledged end, or one that somebody has seen, no later request succeeds with it;
//! 3. what was answered 503, or not at all, may have happened or not;
//! 4. there is exactly one row of the trail for each acknowledged change, and none contradicts another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::log::{Asked, Entry, Said, Session};

/// A row of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub kind: String,
    pub session: String,
    pub detail: String,
}

/// What the database holds when all is over.
#[derive(Debug, Default)]
pub struct Stored {
    pub trail: Vec<Row>,
    /// The ids of sessions that have not ended.
    pub living: BTreeSet<String>,
}

/// Every breach of the rules, in words. The log must hold a request with each session after the storm.
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

/// Rule 1: nobody hears that a session has ended before somebody has tried to end it.
fn works_until_it_ends(uses: &[&Entry], found: &mut Vec<String>) {
    for (n, refused) in uses.iter().enumerate().filter(|(_, entry)| entry.said == Said::Ended) {
        let others = uses.iter().enumerate().filter(|(other, entry)| *other != n && may_end(entry));
        let first_try = others.map(|(_, entry)| entry.started).min();
        if first_try.is_none_or(|tried| refused.ended < tried) {
            found.push(format!("1: it was acknowledged and nobody had ended it: {refused:?}"));
        }
    }
}

/// Rule 2.
fn stays_ended(uses: &[&Entry], found: &mut Vec<String>) {
    let Some(end) = uses.iter().filter_map(|entry| known_end(entry)).min() else { return };
    for entry in uses.iter().filter(|entry| entry.started > end && is_use(entry)) {
        found.push(format!("2: it had ended by {end:?}: {entry:?}"));
    }
}

/// A logout, or a login over it, whatever came of it.
fn may_end(entry: &Entry) -> bool {
    matches!(entry.asked, Asked::Logout | Asked::Login) && entry.said != Said::Ended
}

/// From when on everybody must hold it for ended.
fn known_end(entry: &Entry) -> Option<Duration> {
    let acknowledged =
        matches!((entry.asked, &entry.said), (Asked::Logout, Said::Done) | (Asked::Login, Said::Begun(_)));
    (acknowledged || entry.said == Said::Ended).then_some(entry.ended)
}

/// A success that only a living session has. A login over an ended one is a login all the same.
fn is_use(entry: &Entry) -> bool {
    entry.is_success() && entry.asked != Asked::Login
}

/// Rules 1 and 3 for data: what was acknowledged last, or sent since, is there.
fn keeps_its_data(log: &[Entry], uses: &BTreeMap<&Session, Vec<&Entry>>, stored: &Stored, found: &mut Vec<String>) {
    // A login whose answer was lost has given the session another id, and its old key may have written since.
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
    // In the order in which logins were acknowledged, so that the session that was logged in over comes first.
    for login in log {
        let Said::Begun(session) = &login.said else { continue };
        let mut possible = at_birth.remove(session).unwrap_or_else(|| [None].into());
        possible.extend(by_former_keys.get(session.id.as_str()).into_iter().flatten());
        let mut mine: Vec<&&Entry> = uses.get(&**session).into_iter().flatten().collect();
        mine.sort_by_key(|entry| entry.started);
        // Until something is written under the id itself.
        let mut is_new = true;
        for entry in mine {
            is_new &= !matches!(entry.asked, Asked::Change(_));
            match (&entry.asked, &entry.said) {
                (Asked::Change(n), Said::Done) => possible = [Some(*n)].into(),
                (Asked::Change(n), Said::Away | Said::Silence) => drop(possible.insert(Some(*n))),
                (Asked::Data, Said::Holds(n)) if !(possible.contains(n) || is_new && is_of_same(*n, &session.id)) => {
                    found.push(format!("1: its data is none of {possible:?}: {entry:?}"));
                }
                (Asked::Login, Said::Begun(next)) => {
                    // Over one that may have ended already it begins with nothing.
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

/// Whether nothing else could have ended the session that this login went over.
fn was_surely_alive(login: &Entry, uses: &[&Entry]) -> bool {
    !uses.iter().any(|entry| may_end(entry) && entry.started < login.started)
}

/// The last id of a session: a login whose answer was lost may have given it another one, and its old key ends it all the same.
fn now_called<'a>(id: &'a str, trail: &'a [Row]) -> &'a str {
    let was = format!("was {id}");
    let next = trail.iter().find(|row| row.kind == "session.regenerated" && row.detail == was);
    next.map_or(id, |row| now_called(&row.session, trail))
}

/// Rule 4, from the log to the trail.
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
                // A login that is sent again, because its answer was lost, leads to the same session.
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

/// Rule 4, acknowledged or not: a session began once, and lives, was signed out, or went on as one other.
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

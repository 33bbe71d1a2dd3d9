//! Tests of the rules: each log here breaks a rule, or only just keeps it.

use std::sync::Arc;
use std::time::Duration;

use super::log::{Asked, Entry, Said, Session};
use super::rules::{Row, Stored, breaches};

fn session(id: &str) -> Arc<Session> {
    Arc::new(Session { id: id.to_owned(), cookie: format!("cookie of {id}") })
}

/// A request with its start and end in seconds.
fn entry(asked: Asked, with: Option<&str>, from_to: (u64, u64), said: Said) -> Entry {
    let (started, ended) = (Duration::from_secs(from_to.0), Duration::from_secs(from_to.1));
    Entry { asked, with: with.map(session), started, ended, said }
}

fn login(id: &str, from_to: (u64, u64)) -> Entry {
    entry(Asked::Login, None, from_to, Said::Begun(session(id)))
}

fn rows(lines: &[(&str, &str, &str)]) -> Vec<Row> {
    let row = |(kind, session, detail): &(&str, &str, &str)| Row {
        kind: (*kind).to_owned(),
        session: (*session).to_owned(),
        detail: (*detail).to_owned(),
    };
    lines.iter().map(row).collect()
}

/// The audit events of a session `a` that was logged in and, unless it lives, logged out.
fn stored(lives: bool) -> Stored {
    let mut trail = rows(&[("login.succeeded", "a", ""), ("session.created", "a", "")]);
    if !lives {
        trail.extend(rows(&[("logout", "a", "")]));
    }
    Stored { trail, living: lives.then(|| "a".to_owned()).into_iter().collect() }
}

fn assert_breach(log: &[Entry], stored: &Stored, rule: &str) {
    let found = breaches(log, stored);
    assert!(found.iter().any(|one| one.starts_with(rule)), "{rule} was not found in {found:?}");
}

fn assert_kept(log: &[Entry], stored: &Stored) {
    assert_eq!(breaches(log, stored), Vec::<String>::new());
}

#[test]
fn a_lost_login_breaks_the_first_rule() {
    let look = |said| entry(Asked::Look, Some("a"), (3, 4), said);
    assert_breach(&[login("a", (1, 2)), look(Said::Ended)], &stored(true), "1");
    assert_kept(&[login("a", (1, 2)), look(Said::Done)], &stored(true));
    assert_kept(&[login("a", (1, 2)), look(Said::Away)], &stored(true));
    // Nor may a logout find the session ended if no other request has tried to end it.
    let logout = entry(Asked::Logout, Some("a"), (3, 4), Said::Ended);
    assert_breach(&[login("a", (1, 2)), logout], &stored(true), "1");
}

#[test]
fn a_revived_session_breaks_the_second_rule() {
    let begin = login("a", (1, 2));
    let end = entry(Asked::Logout, Some("a"), (3, 5), Said::Done);
    let look = |from_to, said| entry(Asked::Look, Some("a"), from_to, said);
    assert_breach(&[begin.clone(), end.clone(), look((6, 7), Said::Done)], &stored(false), "2");
    // A request that overlaps with the end may have either answer.
    assert_kept(&[begin.clone(), end.clone(), look((4, 6), Said::Done)], &stored(false));
    assert_kept(&[begin.clone(), look((4, 4), Said::Ended), end], &stored(false));
    // The end was not acknowledged, but another client saw it.
    let unknown = entry(Asked::Logout, Some("a"), (3, 5), Said::Away);
    let seen = look((4, 5), Said::Ended);
    assert_breach(&[begin.clone(), unknown.clone(), seen, look((6, 7), Said::Done)], &stored(true), "2");
    assert_kept(&[begin.clone(), unknown.clone(), look((6, 7), Said::Done)], &stored(true));
    assert_kept(&[begin, unknown, look((6, 7), Said::Ended)], &stored(false));
}

#[test]
fn data_that_was_lost_breaks_the_first_rule() {
    let change = |n, second, said| entry(Asked::Change(n), Some("a"), (second, second), said);
    let holds = |n| entry(Asked::Data, Some("a"), (9, 9), Said::Holds(n));
    let log = |said, n| [login("a", (1, 2)), change(1, 3, Said::Done), change(2, 4, said), holds(n)];
    assert_breach(&log(Said::Done, Some(1)), &stored(true), "1");
    assert_breach(&log(Said::Away, None), &stored(true), "1");
    assert_kept(&log(Said::Away, Some(1)), &stored(true));
    assert_kept(&log(Said::Away, Some(2)), &stored(true));
    let moved = entry(Asked::Login, Some("a"), (5, 6), Said::Begun(session("b")));
    let of_b = entry(Asked::Data, Some("b"), (7, 7), Said::Holds(None));
    assert_breach(&[login("a", (1, 2)), change(1, 3, Said::Done), moved, of_b], &stored(true), "1");
}

#[test]
fn data_from_before_a_lost_login_may_outlive_a_lost_change() {
    let with = |id, asked, second, said| entry(asked, Some(id), (second, second), said);
    let log = |change, holds| {
        [
            login("a", (1, 2)),
            with("a", Asked::Login, 3, Said::Silence),
            with("a", Asked::Look, 4, Said::Moved(session("b"))),
            with("b", Asked::Change(6), 5, Said::Done),
            with("b", Asked::Login, 6, Said::Begun(session("c"))),
            with("c", Asked::Change(7), 7, change),
            with("c", Asked::Data, 8, Said::Holds(Some(holds))),
        ]
    };
    let mut stored = stored(false);
    stored.trail = rows(&[
        ("session.created", "a", ""),
        ("login.succeeded", "a", ""),
        ("session.regenerated", "b", "was a"),
        ("login.succeeded", "b", ""),
        ("session.regenerated", "c", "was b"),
        ("login.succeeded", "c", ""),
    ]);
    stored.living = ["c".to_owned()].into();
    assert_kept(&log(Said::Away, 6), &stored);
    assert_kept(&log(Said::Away, 7), &stored);
    assert_breach(&log(Said::Done, 6), &stored, "1");
    assert_breach(&log(Said::Away, 5), &stored, "1");
}

#[test]
fn missing_or_extra_audit_events_break_the_fourth_rule() {
    let begin = login("a", (1, 2));
    let end = |said| entry(Asked::Logout, Some("a"), (3, 5), said);
    assert_kept(&[begin.clone(), end(Said::Done)], &stored(false));
    assert_kept(&[begin.clone(), end(Said::Away)], &stored(false));
    assert_kept(&[begin.clone(), end(Said::Away)], &stored(true));
    assert_breach(&[begin.clone(), end(Said::Done)], &stored(true), "4");
    assert_breach(std::slice::from_ref(&begin), &Stored::default(), "4");
    let mut twice = stored(false);
    twice.trail.extend(rows(&[("logout", "a", "")]));
    assert_breach(&[begin.clone(), end(Said::Done)], &twice, "4");
    let mut lost = stored(true);
    lost.living.clear();
    assert_breach(&[begin], &lost, "4");
}

#[test]
fn a_rotation_is_recognized_where_it_is_certain() {
    let over = entry(Asked::Login, Some("a"), (5, 6), Said::Begun(session("b")));
    let mut rotated = stored(true);
    rotated.trail.extend(rows(&[("login.succeeded", "b", ""), ("session.regenerated", "b", "was a")]));
    rotated.living = ["b".to_owned()].into();
    let mut created = stored(false);
    created.trail.extend(rows(&[("login.succeeded", "b", ""), ("session.created", "b", "")]));
    created.living = ["b".to_owned()].into();
    assert_kept(&[login("a", (1, 2)), over.clone()], &rotated);
    assert_breach(&[login("a", (1, 2)), over.clone()], &created, "4");
    let unknown = entry(Asked::Logout, Some("a"), (3, 4), Said::Away);
    assert_kept(&[login("a", (1, 2)), unknown.clone(), over.clone()], &created);
    assert_kept(&[login("a", (1, 2)), unknown, over], &rotated);
}

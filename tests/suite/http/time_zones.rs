//! Times are shown in the reader's time zone: the browser's zone, or else the zone stored in the account.

use super::{KIM, serve, serve_process};
use crate::support::{Answer, Client, PASSWORD, Served, TestDb};

/// These zones are 25 hours apart, so their dates always differ.
const FIRST: &str = "Pacific/Kiritimati";
const LAST: &str = "Pacific/Pago_Pago";

/// A client with the time zone cookie that the page's script would set.
fn browser_in(server: &Served, zone: &str) -> Client {
    let mut client = server.client();
    assert!(client.get("/login").body.contains("data-zone-cookie=\""));
    client.cookies.insert("aiq_zone".to_owned(), zone.to_owned());
    client
}

fn age_what_pages_show(db: &TestDb) {
    db.sql("UPDATE sessions SET created_at = INSTANT(-7500)");
    db.sql("UPDATE devices SET first_seen = INSTANT(-7500)");
}

/// The times on a page, each with its words and its exact text.
fn moments(page: &str) -> Vec<(jiff::Timestamp, String, String)> {
    let between = |text: &str, from: &str, to: &str| {
        let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{from}: {text}"));
        rest.split(to).next().unwrap().to_owned()
    };
    page.split("<time ")
        .skip(1)
        .map(|time| {
            let at = between(time, "datetime=\"", "\"").parse().unwrap();
            (at, between(time, "<span data-words>", "<"), between(time, "title=\"", "\""))
        })
        .collect()
}

fn assert_said_in(answer: &Answer, zone: &str) {
    let zone = jiff::tz::TimeZone::get(zone).unwrap();
    let mut clocks = 0;
    for (at, words, exact) in moments(&answer.body) {
        let there = at.to_zoned_datetime(zone.clone());
        assert_eq!(exact, there.strftime("%A %-d %B %Y, %-H:%M %Z").to_string());
        if words.contains(':') {
            clocks += 1;
            assert!(words.ends_with(&there.strftime("%-H:%M").to_string()), "{words}: {exact}");
        }
    }
    assert!(clocks > 0, "no time of day: {}", answer.body);
}

#[test]
fn times_use_the_browsers_or_the_accounts_zone() {
    let (db, server) = serve(&[]);
    for zone in [FIRST, LAST] {
        let mut browser = browser_in(&server, zone);
        browser.log_in(KIM);
        let mut without_script = server.client();
        without_script.log_in(KIM);
        age_what_pages_show(&db);
        assert_said_in(&browser.get("/devices"), zone);
        assert_said_in(&without_script.get("/devices"), zone);
    }
    let mut elsewhere = browser_in(&server, "Europe/Berlin");
    elsewhere.cookies.extend(server.client().cookies);
    elsewhere.log_in(KIM);
    age_what_pages_show(&db);
    assert_said_in(&elsewhere.get("/devices"), "Europe/Berlin");
}

#[test]
fn without_a_known_zone_times_name_theirs() {
    let (db, server) = serve_process(&[("TZ", "UTC")]);
    let mut client = server.client();
    client.log_in(KIM);
    age_what_pages_show(&db);
    let page = client.get("/devices").body;
    let clock = moments(&page).into_iter().find(|(_, words, _)| words.contains(':')).expect("a time of day");
    assert!(clock.1.ends_with(" UTC"), "{clock:?}");
}

#[test]
fn an_unknown_zone_is_ignored() {
    let (_db, server) = serve(&[]);
    for odd in ["Nowhere/Else", "../../etc/passwd", "%00", &"A/".repeat(2000)] {
        let mut client = browser_in(&server, odd);
        client.log_in(KIM);
        assert_eq!(client.get("/dashboard").status, 200, "{odd}");
    }
}

#[test]
fn the_weeks_days_are_the_readers() {
    let (_db, server) = serve(&[]);
    for zone in [FIRST, LAST] {
        let mut browser = browser_in(&server, zone);
        browser.log_in(KIM);
        let page = browser.get("/dashboard").body;
        let last_day = page.split("class=\"week-day\"").last().unwrap();
        let (_, label) = last_day.split_once('>').unwrap();
        let at = moments(&page).into_iter().find(|(_, words, _)| words == "now").expect("this device, now").0;
        let today = at.to_zoned_datetime(jiff::tz::TimeZone::get(zone).unwrap()).strftime("%a").to_string();
        assert!(label.starts_with(&today), "{zone}: {today}: {label}");
    }
}

#[test]
fn a_signed_out_browser_sees_times_in_the_accounts_zone() {
    let (db, server) = serve(&[]);
    browser_in(&server, FIRST).log_in(KIM);
    let mut phone = server.client();
    phone.log_in(KIM);
    db.sql("UPDATE sessions SET ended_at = INSTANT(-7500), ended_reason = 'revoked', ended_by = 'operator'");
    let login = phone.get("/login");
    assert!(login.body.contains("You were signed out by the administrator (<time "), "{}", login.body);
    assert_said_in(&login, FIRST);
    assert_eq!(phone.try_log_in(KIM, PASSWORD).status, 200);
}

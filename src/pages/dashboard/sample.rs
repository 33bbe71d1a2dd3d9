//! A dashboard with made-up content, for `benches/`.
//!
//! Invariant: it has a few apps, and as many rows as a dashboard can have, so that rendering it takes as long as it can.

use std::time::Duration;

use askama::Template;

use super::{AppTile, DashboardPage, DeviceRow, MOST_DEVICES, MOST_EVENTS, durations};
use crate::{
    base::{brand::Brand, db::Instant},
    records::audit::Kind,
    web::{
        activity_words::EventRow,
        layout::{Page, Person, When},
        week::Week,
    },
};

const NOW: Instant = Instant::from_micros(1_795_460_400_000_000);
const APPS: usize = 8;
const IDLE: Duration = Duration::from_secs(72 * 3600);

pub fn dashboard() -> impl Template {
    DashboardPage {
        page: page(),
        token: "t".repeat(43),
        greeting: "Good morning",
        name: "Kim".to_owned(),
        apps: (0..APPS).map(app).collect(),
        has_any_app: true,
        factor_reset: None,
        has_second_factor: false,
        recovery_used: None,
        may_offer_passkey: false,
        shows_help: true,
        help: Vec::new(),
        until: When::until(NOW.plus(IDLE), NOW),
        at_most: Some(When::until(NOW.plus(IDLE * 10), NOW)),
        idle_text: durations::in_words(IDLE),
        elsewhere: super::elsewhere(MOST_DEVICES + 1),
        look: super::look(1),
        here: (0..MOST_DEVICES).map(device).collect(),
        more_devices: 1,
        events: (0..MOST_EVENTS).map(event).collect(),
        week: Week::draw(&[(Kind::LoginSucceeded, NOW), (Kind::LoginFailed, NOW)], NOW),
    }
}

fn page() -> Page {
    let person = Person {
        name: "Kim Lee".to_owned(),
        form_token: "t".repeat(43),
        session_id: "aiq_1795460400000_0000000000000000000000".to_owned(),
        account_id: "acc_0000000000000000000000".to_owned(),
        manages: true,
    };
    Page { person: Some(person), current: "dashboard", ..Page::bare(Brand::default(), "Home") }
}

fn app(number: usize) -> AppTile {
    AppTile {
        letter: "S".to_owned(),
        name: format!("Shop {number}"),
        host: "shop.example.com".to_owned(),
        href: "https://shop.example.com/".to_owned(),
    }
}

fn device(number: usize) -> DeviceRow {
    DeviceRow {
        name: format!("Kim's phone {number}"),
        kind: "phone",
        line: "Safari on iOS".to_owned(),
        when: When::past(NOW.minus(IDLE / 4), NOW),
        current: number == 0,
        new: number == 1,
        is_to_name: false,
        ending: (number > 0).then(|| "aiq_1795460400000_0000000000000000000000".to_owned()),
    }
}

fn event(number: usize) -> EventRow {
    EventRow {
        title: "Signed in on a new device",
        line: format!("Firefox on Linux {number}"),
        from: "192.0.2.7".to_owned(),
        when: When::past(NOW.minus(IDLE / 4), NOW),
        tone: "warm",
        not_me: Some("dev_0000000000000000000000".to_owned()),
    }
}

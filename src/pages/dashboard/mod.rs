//! The page `/dashboard`, the first page after signing in: the apps that the person may open, how long they stay signed
//! in, their devices, and recent activity. Called by the routes.
//!
//! Invariant: the page only reads. Its buttons submit to other pages.

mod durations;
#[doc(hidden)]
pub mod sample;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;

use crate::{
    actions::end_sessions::Ending,
    base::{
        db::{Conn, Instant},
        error::Result,
    },
    records::{
        app::{App, Apps},
        help,
        second_factor::recovery,
        session::{
            CurrentUser, Record, Sessions,
            listing::{self, SignedIn},
            overview::{self, Overview, Wanted},
        },
    },
    web::{
        activity_words::{Doubtful, EventRow},
        forms,
        help::HelpRow,
        layout::{self, Page, When, zoned},
        manager_words,
        site::Site,
        week::Week,
    },
};

/// Most devices and events shown. Other pages list all of them.
const MOST_DEVICES: usize = 4;
const MOST_EVENTS: usize = 5;
/// How long after a sign-in the page offers to name the device, if nobody has named it.
const NAME_OFFERED: Duration = Duration::from_secs(600);

#[derive(Template)]
#[template(path = "dashboard/dashboard.html")]
struct DashboardPage {
    page: Page,
    token: String,
    greeting: &'static str,
    name: String,
    apps: Vec<AppTile>,
    /// Whether this instance has an app, be it open to the person or not.
    has_any_app: bool,
    /// When an administrator removed the person's second factors, until they have seen it.
    factor_reset: Option<When>,
    has_second_factor: bool,
    /// When a recovery code was used, until the person has seen it.
    recovery_used: Option<When>,
    /// Whether the script may offer to make a passkey, if the device can and the person was not asked before.
    may_offer_passkey: bool,
    /// Whether the person is told who asks for help.
    shows_help: bool,
    help: Vec<HelpRow>,
    /// When the sign-in on this device ends without another visit.
    until: When,
    /// When it ends whatever happens, unless `until` is that time.
    at_most: Option<When>,
    idle_text: String,
    elsewhere: String,
    look: String,
    here: Vec<DeviceRow>,
    more_devices: usize,
    events: Vec<EventRow>,
    week: Week,
}

/// An app that the person may open.
struct AppTile {
    letter: String,
    name: String,
    host: String,
    href: String,
}

struct DeviceRow {
    name: String,
    kind: &'static str,
    line: String,
    when: When,
    current: bool,
    new: bool,
    /// Whether to offer to name the device.
    is_to_name: bool,
    /// The [`Ending`] that the row's button submits.
    ending: Option<String>,
}

/// `GET /dashboard`
pub async fn show(
    req: HttpRequest,
    user: CurrentUser,
    site: web::Data<Site>,
    (sessions, apps): (web::Data<Sessions>, web::Data<Apps>),
) -> Result<HttpResponse> {
    let (who, now) = (user.who(), user.now);
    let apps = apps.listed().await?;
    let (role, has_factor) = (user.account.role, user.account.has_second_factor());
    let read = async move |conn: &mut Conn<'_>| {
        let help = if role.manages() { help::open(conn, role).await? } else { Vec::new() };
        let overview = overview::read(conn, &who, Wanted::Notable, now).await?;
        let names = manager_words::names(conn, &who.account_id, &overview.events).await?;
        let used = if has_factor { recovery::unseen_use(conn, &who.account_id).await? } else { None };
        Ok((overview, names, help, used))
    };
    let (overview, names, help, used) = sessions.db.read(read).await?;
    let Overview { living, events, existing_devices, sign_ins, arrivals } = overview;
    let living = sessions.overlaid(living);
    let devices = listing::by_device(&living);
    let token = forms::token(&site, &req)?;
    let last_end = user.record.absolute_expires_at;
    let end = user.record.expires_at.min(last_end);
    let week = Week::draw(&sign_ins, now);
    let doubtful = Doubtful::new(existing_devices, user.record.device_id.as_deref());
    let mut events = EventRow::rows(&events, now, (&doubtful, &names));
    events.truncate(MOST_EVENTS);
    let template = DashboardPage {
        page: Page::new(&req, "Home").of(&user.account, &token, "dashboard").asking(&req, &arrivals, now),
        token: token.value.clone(),
        greeting: greeting(now),
        name: first_name(&user.account.name).to_owned(),
        apps: apps.open_to(&user.account).map(|app| AppTile::new(app)).collect(),
        has_any_app: apps.by_name().next().is_some(),
        has_second_factor: has_factor,
        factor_reset: user.account.factor_reset_at.map(|at| When::past(at, now)),
        recovery_used: used.map(|at| When::past(at, now)),
        may_offer_passkey: may_offer_passkey(&user, &site),
        shows_help: role.manages(),
        help: HelpRow::rows(&help, now),
        until: When::until(end, now),
        at_most: (end < last_end).then(|| When::until(last_end, now)),
        idle_text: durations::in_words(sessions.times.idle),
        elsewhere: elsewhere(devices.len()),
        look: look(week.failures()),
        more_devices: devices.len().saturating_sub(MOST_DEVICES),
        here: device_rows(devices, &user, &arrivals.unanswered),
        events,
        week,
    };
    layout::answer(StatusCode::OK, &template)
}

/// Rows of devices: the current device first, then the most recently active ones.
fn device_rows(devices: Vec<SignedIn<'_>>, user: &CurrentUser, new: &[String]) -> Vec<DeviceRow> {
    let (this, others): (Vec<_>, Vec<_>) = devices.into_iter().partition(|device| device.is_of(&user.record));
    let rows = this.iter().chain(&others).take(MOST_DEVICES);
    rows.map(|device| {
        let row = DeviceRow::new(device, device.is_of(&user.record), user.now);
        DeviceRow { new: device.newest.device_id.as_ref().is_some_and(|id| new.contains(id)), ..row }
    })
    .collect()
}

impl AppTile {
    fn new(app: &App) -> Self {
        Self {
            letter: layout::initial(&app.name),
            name: app.name.clone(),
            host: app.host().to_owned(),
            href: format!("{}/", app.origin),
        }
    }
}

impl DeviceRow {
    fn new(device: &SignedIn<'_>, current: bool, now: Instant) -> Self {
        let record = device.newest;
        let client = record.client();
        let label = client.label();
        let name = device.device_name.map_or_else(|| label.clone(), str::to_owned);
        let from = record.ip.as_deref().unwrap_or("no address");
        Self {
            is_to_name: current && name == label && has_just_come(record, now),
            line: if name == label { from.to_owned() } else { label },
            name,
            kind: client.kind.as_str(),
            when: if current { When::past(now, now) } else { When::past(record.last_activity, now) },
            current,
            new: false,
            ending: (!current).then(|| ending_of(device).to_string()),
        }
    }
}

/// A passkey is offered after a sign-in with a password alone.
fn may_offer_passkey(user: &CurrentUser, site: &Site) -> bool {
    let is_with_password = !user.account.has_second_factor() && !user.record.amr().has_second_factor();
    site.passkeys.is_ok() && is_with_password && has_just_come(&user.record, user.now)
}

/// Whether a sign-in is new. A name and a passkey are offered only then.
fn has_just_come(record: &Record, now: Instant) -> bool {
    now.since(record.created_at.min(now)) < NAME_OFFERED
}

/// The ending for a device: all its sessions, if it has several.
fn ending_of(device: &SignedIn<'_>) -> Ending {
    match &device.newest.device_id {
        Some(id) if device.sessions > 1 => Ending::OnDevice(id.clone()),
        _ => Ending::Session(device.newest.id.clone()),
    }
}

/// Chooses a greeting for the reader's time of day, if the time zone is known.
fn greeting(now: Instant) -> &'static str {
    if !layout::is_zone_known() {
        return "Hello";
    }
    match zoned(now).hour() {
        5..=11 => "Good morning",
        12..=17 => "Good afternoon",
        _ => "Good evening",
    }
}

fn first_name(name: &str) -> &str {
    name.split_whitespace().next().unwrap_or(name)
}

/// On how many other devices the person is signed in.
fn elsewhere(devices: usize) -> String {
    match devices {
        0 | 1 => String::new(),
        2 => ", and on one other".to_owned(),
        3 => ", and on two others".to_owned(),
        more => format!(", and on {} others", more - 1),
    }
}

fn look(failures: usize) -> String {
    match failures {
        0 => "Nothing looks unusual.".to_owned(),
        1 => "There was one wrong password in the last 7 days.".to_owned(),
        more => format!("There were {more} wrong passwords in the last 7 days."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_uses_the_first_name() {
        assert_eq!(first_name("Kim Lee"), "Kim");
        assert_eq!(first_name("owner@example.com"), "owner@example.com");
        assert_eq!(first_name(" "), " ");
    }

    #[test]
    fn devices_and_wrong_passwords_are_counted_in_words() {
        assert_eq!([elsewhere(1), elsewhere(3)], ["", ", and on two others"]);
        assert_eq!(elsewhere(5), ", and on 4 others");
        assert_eq!([look(0), look(2)], ["Nothing looks unusual.", "There were 2 wrong passwords in the last 7 days."]);
    }
}

//! The page `/dashboard`, the first page after signing in: the time left in the session, the other devices, and recent
//! activity. Called by the routes.
//!
//! Invariant: the page only reads. Its buttons submit to other pages.

mod pictures;
#[doc(hidden)]
pub mod sample;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;

use self::pictures::Ring;
use crate::{
    actions::end_sessions::Ending,
    base::{
        db::{Conn, Instant},
        error::Result,
    },
    records::{
        audit::{self, Kind, Recorded},
        device::known,
        session::{
            CurrentUser, Record, Sessions, Who,
            arrivals::{self, Arrivals},
            listing::{self, SignedIn},
        },
    },
    web::{
        activity_words::{self, Doubtful, EventRow},
        forms,
        layout::{self, Page, When, zoned},
        site::Site,
        week::Week,
    },
};

/// Most devices and events shown. Other pages list all of them.
const MOST_DEVICES: usize = 4;
const MOST_EVENTS: usize = 5;
/// Events read. Several events can form one row.
const EVENTS_READ: i64 = 24;

#[derive(Template)]
#[template(path = "dashboard/dashboard.html")]
struct DashboardPage {
    page: Page,
    token: String,
    greeting: &'static str,
    name: String,
    summary: String,
    ring: Ring,
    password_due: When,
    idle_text: String,
    here: Vec<DeviceRow>,
    more_devices: usize,
    events: Vec<EventRow>,
    week: Week,
}

struct DeviceRow {
    name: String,
    kind: &'static str,
    line: String,
    when: When,
    current: bool,
    new: bool,
    /// The [`Ending`] that the row's button submits.
    ending: Option<String>,
}

/// `GET /dashboard`
pub async fn show(
    req: HttpRequest,
    user: CurrentUser,
    site: web::Data<Site>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse> {
    let who = user.who();
    let read = sessions.db.read(async move |conn: &mut Conn<'_>| Read::of(conn, &who).await).await?;
    let Read { here, events, existing_devices, sign_ins, arrivals } = read;
    let here = sessions.overlaid(here);
    let devices = listing::by_device(&here);
    let now = user.now;
    let token = forms::token(&site, &req)?;
    let week = Week::draw(&sign_ins, now);
    let doubtful = Doubtful::new(existing_devices, user.record.device_id.as_deref());
    let mut events = EventRow::rows(&events, now, &doubtful);
    events.truncate(MOST_EVENTS);
    let template = DashboardPage {
        page: Page::new(&req, "Home").of(&user.account.name, &token, "dashboard").asking(&req, &arrivals, now),
        token: token.value.clone(),
        greeting: greeting(now),
        name: first_name(&user.account.name).to_owned(),
        summary: summary(devices.len(), week.failures()),
        ring: Ring::draw(user.record.expires_at.since(now), sessions.times.idle),
        password_due: When::day(user.record.absolute_expires_at),
        idle_text: pictures::in_words(sessions.times.idle),
        more_devices: devices.len().saturating_sub(MOST_DEVICES),
        here: device_rows(devices, &user, &arrivals.unanswered),
        events,
        week,
    };
    layout::answer(StatusCode::OK, &template)
}

/// The data that the page reads in one transaction.
struct Read {
    here: Vec<(Record, Option<String>)>,
    events: Vec<Recorded>,
    /// The devices in `events` that the account still has.
    existing_devices: Vec<String>,
    sign_ins: Vec<(Kind, Instant)>,
    arrivals: Arrivals,
}

impl Read {
    async fn of(conn: &mut Conn<'_>, who: &Who) -> Result<Self> {
        let account_id = who.account_id.as_str();
        let events = audit::newest(conn, account_id, EVENTS_READ).await?;
        Ok(Self {
            here: listing::list(conn, account_id).await?,
            existing_devices: known::names(conn, account_id, &activity_words::devices_of(&events))
                .await?
                .into_keys()
                .collect(),
            events,
            sign_ins: audit::sign_ins_of_last_days(conn, account_id, 7).await?,
            arrivals: arrivals::list(conn, account_id, who.device_id.as_deref()).await?,
        })
    }
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

impl DeviceRow {
    fn new(device: &SignedIn<'_>, current: bool, now: Instant) -> Self {
        let record = device.newest;
        let client = record.client();
        let label = client.label();
        let name = device.device_name.map_or_else(|| label.clone(), str::to_owned);
        let from = record.ip.as_deref().unwrap_or("no address");
        Self {
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

fn summary(devices: usize, failures: usize) -> String {
    let places = match devices {
        0 | 1 => "You are signed in on this device only.".to_owned(),
        2 => "You are signed in on two devices.".to_owned(),
        3 => "You are signed in on three devices.".to_owned(),
        more => format!("You are signed in on {more} devices."),
    };
    let look = match failures {
        0 => "Nothing looks unusual.".to_owned(),
        1 => "There was one wrong password in the last 7 days.".to_owned(),
        more => format!("There were {more} wrong passwords in the last 7 days."),
    };
    format!("{places} {look}")
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
    fn the_summary_counts_in_words() {
        assert_eq!(summary(3, 0), "You are signed in on three devices. Nothing looks unusual.");
        assert_eq!(
            summary(1, 2),
            "You are signed in on this device only. There were 2 wrong passwords in the last 7 days."
        );
    }
}

//! The frame that all pages share: title, navigation, the person in the header, and times in words. Called by every
//! page. The matching templates are in `templates/parts/`.
//!
//! Invariant: a time of day in a page is in the reader's own zone or names its zone.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;

use crate::{
    base::{
        assets,
        brand::Brand,
        clock::zone,
        db::Instant,
        error::{Error, Result},
    },
    records::{
        account::Account,
        session::{Sessions, arrivals::Arrivals, request},
    },
    web::{
        forms::FormToken,
        opened::{self, Opened},
        route::{NavItem, RouteTable},
        site::Site,
    },
};

/// The frame of a page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Name, logo, colour and contact.
    pub brand: Brand,
    /// The text of the title bar.
    pub title: String,
    /// The person who is signed in, unless the page is the same for everybody.
    pub person: Option<Person>,
    /// Whether to show the navigation although no person is known.
    pub has_navigation: bool,
    /// All entries. The page shows those of [`entries`](Self::entries).
    pub navigation: Vec<NavItem>,
    /// The navigation entry of this page.
    pub current: &'static str,
    /// The page's address under the public origin, if it was opened under another origin.
    pub misplaced: Option<String>,
    /// Whether the person reaches nothing but the set-up of a second factor. The page's scripts then ask for nothing.
    pub is_barred: bool,
    /// A new device that the person is asked about.
    pub arrival: Option<Arrival>,
    /// The reader's time zone, if it is known.
    pub zone: Option<String>,
    /// The name of the cookie in which the page's script stores the browser's zone; empty in pages that are the same
    /// for everybody.
    pub zone_cookie: String,
}

/// The question about a new device that the account's other devices show.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The device's id.
    pub id: String,
    /// The browser and system: "Firefox on Linux".
    pub label: String,
    /// The name that was chosen at sign-in, if it differs from `label`. An intruder may have chosen it.
    pub named: Option<String>,
    /// The address that the device last used.
    pub from: Option<String>,
    /// The time of its first sign-in.
    pub when: When,
    /// The number of further new devices.
    pub more: usize,
    /// The path to return to after the answer.
    pub here: String,
}

/// The signed-in person, for the header and its sign-out form.
#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    /// For the sign-out form.
    pub form_token: String,
    /// The scripts use it as a key for stored data. It grants no access.
    pub session_id: String,
    /// For the scripts, which must not mix the data of two accounts.
    pub account_id: String,
    /// Whether the person manages people and apps.
    pub manages: bool,
}

/// Whether the person must set up a second factor first.
fn is_barred(req: &HttpRequest) -> bool {
    let live = request::current().and_then(|facts| facts.live());
    let sessions = req.app_data::<web::Data<Sessions>>();
    live.zip(sessions).is_some_and(|(live, sessions)| sessions.second_factor.asks_for_set_up(&live.account))
}

impl Page {
    /// The frame of a page that answers `req`.
    pub fn new(req: &HttpRequest, title: &str) -> Self {
        let site = req.app_data::<web::Data<Site>>();
        let routes = req.app_data::<web::Data<RouteTable>>();
        Self {
            navigation: routes.map(|routes| routes.navigation()).unwrap_or_default(),
            misplaced: misplaced(req),
            zone: reader_zone_name(),
            is_barred: is_barred(req),
            zone_cookie: site.map(|site| site.cookies.zone.clone()).unwrap_or_default(),
            ..Self::bare(site.map(|site| site.brand.clone()).unwrap_or_default(), title)
        }
    }

    /// A frame that does not depend on the request.
    pub fn bare(brand: Brand, title: &str) -> Self {
        Self { brand, title: title.to_owned(), ..Self::default() }
    }

    /// Adds the signed-in person.
    #[must_use]
    pub fn of(mut self, account: &Account, token: &FormToken, current: &'static str) -> Self {
        self.person = Some(Person {
            name: account.name.clone(),
            manages: account.role.manages(),
            form_token: token.value.clone(),
            session_id: token.session_id.clone().unwrap_or_default(),
            account_id: token.account_id.clone().unwrap_or_default(),
        });
        self.current = current;
        self
    }

    /// Adds the question about a new device, if there is one to ask.
    #[must_use]
    pub fn asking(mut self, req: &HttpRequest, arrivals: &Arrivals, now: Instant) -> Self {
        self.arrival = arrivals.to_answer.first().map(|device| Arrival {
            id: device.id.clone(),
            label: device.client().label(),
            named: (device.client().label() != device.name).then(|| device.name.clone()),
            from: arrivals.from.clone(),
            when: When::clock(device.first_seen, now),
            more: arrivals.to_answer.len() - 1,
            here: req.path().to_owned(),
        });
        self
    }

    /// The entries of the navigation that the reader sees.
    pub fn entries(&self) -> impl Iterator<Item = &NavItem> {
        let manages = self.person.as_ref().is_some_and(|person| person.manages);
        self.navigation.iter().filter(move |item| manages || !item.is_for_admins)
    }

    /// The fingerprinted address of a static file.
    pub fn asset(&self, name: &str) -> &'static str {
        assets::path(name)
    }
}

/// The page's address under the public origin, if the page was certainly opened under another origin.
fn misplaced(req: &HttpRequest) -> Option<String> {
    let site = req.app_data::<web::Data<Site>>()?;
    if opened::place_of(req, site) != Opened::Elsewhere {
        return None;
    }
    let routes = req.app_data::<web::Data<RouteTable>>()?;
    let path = if req.method().is_safe() { req.uri().path_and_query()?.as_str() } else { req.path() };
    // A page must not repeat a one-time link. `*` is not a path.
    let path = if routes.find(req.path()).carries_secret || !path.starts_with('/') { "/" } else { path };
    Some(format!("{}{path}", site.public.origin()))
}

/// Renders a page.
pub fn answer(status: StatusCode, template: &impl Template) -> Result<HttpResponse> {
    let html = template.render().map_err(|error| Error::Internal(error.into()))?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html))
}

/// 303 to another address (RFC 9110, 15.4.4).
pub fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((actix_web::http::header::LOCATION, address)).finish()
}

/// The letter that stands for a person or an app without a picture.
pub fn initial(name: &str) -> String {
    name.chars()
        .find(|letter| letter.is_alphanumeric())
        .map(|letter| letter.to_uppercase().collect())
        .unwrap_or_default()
}

/// A time in words and in full. The page's script rewrites it in the browser's own zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// RFC 3339.
    pub iso: String,
    /// "20 minutes ago", "yesterday 18:02", "Tuesday 22 December".
    pub text: String,
    /// "Friday 20 November 2026, 9:14 UTC".
    pub exact: String,
    /// The format that the script uses: `relative`, `clock`, `day` or `until`.
    pub style: &'static str,
}

impl When {
    /// A time in the past: relative for an hour, then a time of day.
    pub fn past(at: Instant, now: Instant) -> Self {
        let at = at.min(now);
        let seconds = now.since(at).as_secs();
        let (text, style) = match seconds {
            0..60 => ("now".to_owned(), "relative"),
            60..120 => ("1 minute ago".to_owned(), "relative"),
            120..3600 => (format!("{} minutes ago", seconds / 60), "relative"),
            _ => (clock_text(at, now), "clock"),
        };
        Self::new(at, text, style)
    }

    /// A day, such as the day when a password confirmation is due.
    pub fn day(at: Instant) -> Self {
        Self::new(at, zoned(at).strftime("%A %-d %B").to_string(), "day")
    }

    /// A time in the future: a time of day for six days, then a day.
    pub fn until(at: Instant, now: Instant) -> Self {
        let (then, today) = (zoned(at.max(now)), zoned(now));
        let zone = if reader_zone().is_some() { "" } else { " %Z" };
        let days = then.date().duration_since(today.date()).as_hours() / 24;
        let format = match days {
            0 => format!("today %-H:%M{zone}"),
            1 => format!("tomorrow %-H:%M{zone}"),
            2..7 => format!("%A %-H:%M{zone}"),
            _ => "%-d %B".to_owned(),
        };
        Self::new(at, then.strftime(&format).to_string(), "until")
    }

    /// A time of day in the recent past.
    pub fn clock(at: Instant, now: Instant) -> Self {
        let at = at.min(now);
        Self::new(at, clock_text(at, now), "clock")
    }

    fn new(at: Instant, text: String, style: &'static str) -> Self {
        Self { iso: at.rfc3339(), text, exact: zoned(at).strftime("%A %-d %B %Y, %-H:%M %Z").to_string(), style }
    }
}

/// A time of day. It names its zone while the reader's zone is unknown.
fn clock_text(at: Instant, now: Instant) -> String {
    let (then, today) = (zoned(at), zoned(now));
    let zone = if reader_zone().is_some() { "" } else { " %Z" };
    let days = today.date().duration_since(then.date()).as_hours() / 24;
    let format = match days {
        0 => format!("today %-H:%M{zone}"),
        1 => format!("yesterday %-H:%M{zone}"),
        2..7 => format!("%A %-H:%M{zone}"),
        _ if then.year() == today.year() => "%-d %B".to_owned(),
        _ => "%-d %B %Y".to_owned(),
    };
    then.strftime(&format).to_string()
}

/// Converts to the reader's zone, or to the machine's zone while the reader's is unknown.
pub fn zoned(at: Instant) -> jiff::ZonedDateTime {
    at.timestamp().to_zoned_datetime(reader_zone().unwrap_or_else(jiff::tz::TimeZone::system))
}

/// Whether the reader's zone is known.
pub fn is_zone_known() -> bool {
    reader_zone().is_some()
}

fn reader_zone() -> Option<jiff::tz::TimeZone> {
    zone::named(&reader_zone_name()?)
}

/// The name of the reader's zone, taken from the current request.
fn reader_zone_name() -> Option<String> {
    request::current().and_then(|facts| facts.reader_zone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_worded() {
        let now = Instant::from_micros(1_795_460_400_000_000);
        let ago = |seconds: u64| When::past(now.minus(std::time::Duration::from_secs(seconds)), now);
        assert_eq!(ago(0).text, "now");
        assert_eq!(ago(61).text, "1 minute ago");
        assert_eq!(ago(20 * 60 + 5).text, "20 minutes ago");
        assert_eq!(ago(20 * 60).style, "relative");
        let ahead = |seconds: u64| When::until(now.plus(std::time::Duration::from_secs(seconds)), now);
        assert!(ahead(86_400).text.starts_with("tomorrow "), "{}", ahead(86_400).text);
        let day = |seconds: u64| zoned(now.plus(std::time::Duration::from_secs(seconds)));
        assert!(ahead(3 * 86_400).text.starts_with(&day(3 * 86_400).strftime("%A ").to_string()));
        assert_eq!(ahead(9 * 86_400).text, day(9 * 86_400).strftime("%-d %B").to_string());
        assert!(ago(26 * 3600).text.starts_with("yesterday "), "{}", ago(26 * 3600).text);
        assert_eq!(
            ago(40 * 86_400).text,
            zoned(now.minus(std::time::Duration::from_secs(40 * 86_400))).strftime("%-d %B").to_string()
        );
    }
}

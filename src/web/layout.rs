//! What every page shares: the frame around it, the person in its header, times as people say them. The templates'
//! side of this is `templates/parts/`.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;

use crate::{
    base::{
        assets,
        clock::zone,
        db::Instant,
        error::{Error, Result},
    },
    records::session::{arrivals::Arrivals, request},
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
    /// In the title bar.
    pub title: String,
    /// Who is signed in, if it is a page for somebody.
    pub person: Option<Person>,
    /// Whether the navigation is shown though nobody's name is known.
    pub has_navigation: bool,
    pub navigation: Vec<NavItem>,
    /// Which entry of the navigation this is.
    pub current: &'static str,
    /// The same page under the right origin, if it was opened under another.
    pub misplaced: Option<String>,
    /// A new device that the person is asked about.
    pub arrival: Option<Arrival>,
    /// The reader's time zone, if it is known.
    pub zone: Option<String>,
    /// Where the page's script keeps the browser's own zone; empty in pages that are for nobody in particular.
    pub zone_cookie: String,
}

/// A new device, as the account's other devices are asked about it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The device.
    pub id: String,
    /// What its browser is: "Firefox on Linux".
    pub label: String,
    /// What it calls itself, if that is something else: whoever signed in has chosen it.
    pub named: Option<String>,
    /// From where it was used last.
    pub from: Option<String>,
    /// When it came.
    pub when: When,
    /// How many more there are.
    pub more: usize,
    /// Where to come back to after the answer.
    pub here: String,
}

/// Who is signed in, for the header and its sign-out form.
#[derive(Debug, Clone)]
pub struct Person {
    /// How the person is called.
    pub name: String,
    /// For the sign-out form.
    pub form_token: String,
    /// For the scripts that keep what they know by it; it opens nothing.
    pub session_id: String,
    /// Whose page this is, for the scripts.
    pub account_id: String,
}

impl Page {
    /// The frame of a page that `req` asks for.
    pub fn new(req: &HttpRequest, title: &str) -> Self {
        let site = req.app_data::<web::Data<Site>>();
        let routes = req.app_data::<web::Data<RouteTable>>();
        Self {
            navigation: routes.map(|routes| routes.navigation()).unwrap_or_default(),
            misplaced: misplaced(req),
            zone: reader_zone_name(),
            zone_cookie: site.map(|site| site.cookies.zone.clone()).unwrap_or_default(),
            ..Self::bare(title)
        }
    }

    /// A frame without anything that depends on who asks, and how.
    pub fn bare(title: &str) -> Self {
        Self { title: title.to_owned(), ..Self::default() }
    }

    /// For somebody who is signed in.
    #[must_use]
    pub fn of(mut self, name: &str, token: &FormToken, current: &'static str) -> Self {
        self.person = Some(Person {
            name: name.to_owned(),
            form_token: token.value.clone(),
            session_id: token.session_id.clone().unwrap_or_default(),
            account_id: token.account_id.clone().unwrap_or_default(),
        });
        self.current = current;
        self
    }

    /// With what the device in use is asked about new ones.
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

    /// The fingerprinted address of a static file.
    pub fn asset(&self, name: &str) -> &'static str {
        assets::path(name)
    }
}

/// The address under the right origin, if the page was certainly opened under another.
fn misplaced(req: &HttpRequest) -> Option<String> {
    let site = req.app_data::<web::Data<Site>>()?;
    if opened::judge(req, site) != Opened::Elsewhere {
        return None;
    }
    let routes = req.app_data::<web::Data<RouteTable>>()?;
    let path = if req.method().is_safe() { req.uri().path_and_query()?.as_str() } else { req.path() };
    // A one-time link is not repeated in a page; `*` is no path.
    let path = if routes.find(req.path()).carries_secret || !path.starts_with('/') { "/" } else { path };
    Some(format!("{}{path}", site.public.origin()))
}

/// A page as an answer.
///
/// # Errors
/// When a template fails, which is a bug.
pub fn answer(status: StatusCode, template: &impl Template) -> Result<HttpResponse> {
    let html = template.render().map_err(|error| Error::Internal(error.into()))?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html))
}

/// 303 to another address (RFC 9110, 15.4.4).
pub fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((actix_web::http::header::LOCATION, address)).finish()
}

/// A time as people say it, exact for who asks, and for the script that says it in the browser's own zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// RFC 3339.
    pub iso: String,
    /// "20 minutes ago", "yesterday 18:02", "Tuesday 22 December".
    pub text: String,
    /// "Friday 20 November 2026, 9:14 UTC".
    pub exact: String,
    /// How the script says it: `relative`, `clock` or `day`.
    pub style: &'static str,
}

impl When {
    /// Something that happened: relative for an hour, then by the clock.
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

    /// A day, such as when a password is due.
    pub fn day(at: Instant) -> Self {
        Self::new(at, zoned(at).strftime("%A %-d %B").to_string(), "day")
    }

    /// A time of day, for something that happened lately.
    pub fn clock(at: Instant, now: Instant) -> Self {
        let at = at.min(now);
        Self::new(at, clock_text(at, now), "clock")
    }

    fn new(at: Instant, text: String, style: &'static str) -> Self {
        Self { iso: at.rfc3339(), text, exact: zoned(at).strftime("%A %-d %B %Y, %-H:%M %Z").to_string(), style }
    }
}

/// A time of day says its zone while the reader's is not known, so that it is never wrong.
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

/// In the zone of whoever reads the answer under way; in the machine's while that is not known.
pub fn zoned(at: Instant) -> jiff::ZonedDateTime {
    at.timestamp().to_zoned_datetime(reader_zone().unwrap_or_else(jiff::tz::TimeZone::system))
}

/// Whether the zone of the reader is known.
pub fn is_zone_known() -> bool {
    reader_zone().is_some()
}

fn reader_zone() -> Option<jiff::tz::TimeZone> {
    zone::named(&reader_zone_name()?)
}

/// The name of the zone that the answer under way is written in, if it is the reader's.
fn reader_zone_name() -> Option<String> {
    request::current().and_then(|facts| facts.reader_zone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        let now = Instant::from_micros(1_795_460_400_000_000);
        let ago = |seconds: u64| When::past(now.minus(std::time::Duration::from_secs(seconds)), now);
        assert_eq!(ago(0).text, "now");
        assert_eq!(ago(61).text, "1 minute ago");
        assert_eq!(ago(20 * 60 + 5).text, "20 minutes ago");
        assert_eq!(ago(20 * 60).style, "relative");
        assert!(ago(26 * 3600).text.starts_with("yesterday "), "{}", ago(26 * 3600).text);
        assert_eq!(
            ago(40 * 86_400).text,
            zoned(now.minus(std::time::Duration::from_secs(40 * 86_400))).strftime("%-d %B").to_string()
        );
    }
}

//! The page `/activity`: the events of an account, newest first, with actions for suspicious events. Called by the
//! routes.
//!
//! Invariant: paging shows each event once, even if events are recorded meanwhile.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    base::{db::Conn, error::Result},
    records::{
        audit::{self, Kind, Recorded},
        device::known,
        session::{
            CurrentUser, Sessions,
            overview::{self, Overview, Wanted},
        },
    },
    web::{
        activity_words::{self, Doubtful, EventRow},
        forms,
        layout::{self, Page},
        manager_words,
        site::Site,
        week::Week,
    },
};

/// Events read: one more than is shown, to find out whether there is another page.
const MOST_READ: i64 = overview::MOST_EVENTS as i64;
/// Events per page.
const PAGE_SIZE: usize = overview::MOST_EVENTS as usize - 1;

/// The filter and the position of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    show: String,
    before: String,
}

#[derive(Template)]
#[template(path = "activity/activity.html")]
struct ActivityPage {
    page: Page,
    token: String,
    filters: &'static [Filter],
    filter: &'static Filter,
    events: Vec<EventRow>,
    is_first: bool,
    older: Option<i64>,
    week: Week,
}

/// A filter for events.
struct Filter {
    /// The value of `show` in the query.
    word: &'static str,
    label: &'static str,
    /// Shown when no event matches.
    empty: &'static str,
    /// Empty for all events.
    kinds: &'static [Kind],
}

const FILTERS: &[Filter] = &[
    Filter { word: "", label: "All", empty: "Nothing has happened yet.", kinds: &[] },
    Filter {
        word: "sign-ins",
        label: "Sign-ins",
        empty: "Nobody has signed in yet.",
        kinds: &[Kind::LoginSucceeded, Kind::DeviceNew],
    },
    Filter {
        word: "wrong-passwords",
        label: "Wrong passwords",
        empty: "Nobody has typed a wrong password.",
        kinds: &[Kind::LoginFailed, Kind::LoginThrottled, Kind::SecondFactorFailed],
    },
    Filter {
        word: "changes",
        label: "Changes",
        empty: "Nothing has been changed yet.",
        kinds: &[
            Kind::AccountCreated,
            Kind::AccountDisabled,
            Kind::AccountEnabled,
            Kind::AccountRenamed,
            Kind::AccountEmailChanged,
            Kind::AccountRoleChanged,
            Kind::AccountGroupsChanged,
            Kind::AccountExported,
            Kind::AccountDeletionAsked,
            Kind::AccountKept,
            Kind::AccountDeleted,
            Kind::PasswordChanged,
            Kind::PasskeyAdded,
            Kind::PasskeyRenamed,
            Kind::PasskeyRemoved,
            Kind::TotpAdded,
            Kind::TotpRemoved,
            Kind::RecoveryMade,
            Kind::SecondFactorReset,
            Kind::SessionRevoked,
            Kind::DeviceRenamed,
            Kind::DeviceForgotten,
            Kind::AppAdded,
            Kind::AppChanged,
            Kind::AppRemoved,
        ],
    },
];

/// `GET /activity`
pub async fn show(
    req: HttpRequest,
    query: web::Query<Query>,
    user: CurrentUser,
    site: web::Data<Site>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse> {
    let filter = FILTERS.iter().find(|filter| filter.word == query.show).unwrap_or(&FILTERS[0]);
    // An invalid position shows the first page.
    let before = query.before.parse().ok();
    let (who, now) = (user.who(), user.now);
    let read = async move |conn: &mut Conn<'_>| {
        let mut overview = overview::read(conn, &who, Wanted::Before(before), now).await?;
        if !filter.kinds.is_empty() {
            overview.events = audit::of_kinds(conn, &who.account_id, filter.kinds, before, MOST_READ).await?;
            let devices = activity_words::devices_of(&overview.events);
            overview.existing_devices = known::names(conn, &who.account_id, &devices).await?.into_keys().collect();
        }
        let names = manager_words::names(conn, &who.account_id, &overview.events).await?;
        Ok((overview, names))
    };
    let (overview, names) = sessions.db.read(read).await?;
    let Overview { events, existing_devices, sign_ins, arrivals, .. } = overview;
    let (events, older) = cut(events);
    let token = forms::token(&site, &req)?;
    let doubtful = Doubtful::new(existing_devices, user.record.device_id.as_deref());
    let page = Page::new(&req, "Activity").of(&user.account, &token, "activity");
    let template = ActivityPage {
        page: page.asking(&req, &arrivals, user.now),
        token: token.value,
        filters: FILTERS,
        filter,
        events: EventRow::rows(&events, user.now, (&doubtful, &names)),
        is_first: before.is_none(),
        older,
        week: Week::draw(&sign_ins, user.now),
    };
    layout::answer(StatusCode::OK, &template)
}

/// Cuts the events that were read to one page. Returns them with the position of the next page, if there is one.
fn cut(mut events: Vec<Recorded>) -> (Vec<Recorded>, Option<i64>) {
    let more = events.len() > PAGE_SIZE;
    // A sign-in on a new device is two events but one row, so a page must not end between them.
    let torn = |pair: &[Recorded]| {
        pair[0].kind == Kind::DeviceNew
            && pair[1].kind == Kind::LoginSucceeded
            && pair[0].session_id == pair[1].session_id
    };
    if more && torn(&events[PAGE_SIZE - 1..]) {
        events.truncate(PAGE_SIZE - 1);
    } else {
        events.truncate(PAGE_SIZE);
    }
    let older = if more { events.last().map(|last| last.id) } else { None };
    (events, older)
}

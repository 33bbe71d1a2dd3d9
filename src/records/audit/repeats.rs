//! Limits events that a person can cause without end. The first events of a kind in an hour are recorded in full. The
//! others are counted, and one event sums them up: their number, and the detail of the last one. Called by
//! [`chain`](super::chain) just before it seals events, while the account's head is locked.
//!
//! Invariant: a sealed event never changes. Each event that is not sealed is counted in the sum, which the next event
//! of its kind or the [sweep](super::sweep) records.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, upsert::excluded};

use super::event::{Event, Kind};
use crate::base::{
    db::{
        Conn, Instant, before_now, now, run,
        schema::audit_repeats::{self as repeats, dsl},
    },
    error::Result,
};

/// The period in which events of a kind are counted together.
pub(super) const WINDOW: Duration = Duration::from_secs(3600);
/// Events of a kind per window that are recorded in full.
const IN_FULL: i64 = 5;

impl Kind {
    /// Whether a person can cause events of this kind without end, each with little new information.
    fn repeats(self) -> bool {
        matches!(
            self.as_str(),
            "account.renamed"
                | "app.denied"
                | "app.opened"
                | "device.renamed"
                | "login.confirmed"
                | "passkey.renamed"
                | "sync.applied"
                | "sync.conflict"
        )
    }
}

impl Event {
    /// Whether the event is counted with others of its kind. A new session key is always recorded in full after a
    /// sign-in or a password change, because the event links the old session id to the new one.
    fn repeats(&self) -> bool {
        !self.in_full && (self.kind.repeats() || self.of_confirmation || self.only_closes)
    }
}

/// An account's events of one kind in the current hour.
struct Window {
    is_over: bool,
    is_new: bool,
    recorded: i64,
    held: i64,
    last: Option<Event>,
    last_at: Option<Instant>,
}

type WindowKey = (String, &'static str);
type WindowRow =
    (String, Kind, bool, i64, i64, Option<Instant>, (Option<String>, Option<String>, Option<String>, Option<String>));

impl Window {
    fn new() -> Self {
        Self { is_over: false, is_new: true, recorded: 0, held: 0, last: None, last_at: None }
    }

    /// One event that sums up those that were only counted. `None` if there are none.
    fn sum(&self) -> Option<Event> {
        let last = self.last.clone()?;
        let until = self.last_at.map(|at| format!(" until {}", at.rfc3339())).unwrap_or_default();
        let said = last.detail.as_deref().map(|detail| format!("; the last one: {detail}")).unwrap_or_default();
        let words = format!("{} more{until}{said}", self.held);
        Some(last.detail(&words))
    }
}

/// Returns the events to seal. Those above the limit are only counted.
pub(super) async fn fold(conn: &mut Conn<'_>, events: Vec<Event>) -> Result<Vec<Event>> {
    let mut windows = windows(conn, &events).await?;
    if windows.is_empty() {
        return Ok(events);
    }
    let present: Instant = run!(conn, get_result(diesel::select(now())))?;
    let mut sealed = Vec::with_capacity(events.len());
    for event in events {
        let Some(window) = windows.get_mut(&key(&event)).filter(|_| event.repeats()) else {
            sealed.push(event);
            continue;
        };
        if window.is_over {
            sealed.extend(window.sum().filter(|_| window.held > 0));
            *window = Window::new();
        }
        if event.only_closes {
            continue;
        }
        if window.recorded < IN_FULL {
            window.recorded += 1;
            sealed.push(event);
        } else {
            window.held += 1;
            window.last_at = Some(present);
            window.last = Some(event);
        }
    }
    for (key, window) in &windows {
        store(conn, key, window).await?;
    }
    Ok(sealed)
}

fn key(event: &Event) -> WindowKey {
    (event.account_id.clone().unwrap_or_default(), event.kind.as_str())
}

/// The windows of the repeating events among `events`.
async fn windows(conn: &mut Conn<'_>, events: &[Event]) -> Result<BTreeMap<WindowKey, Window>> {
    let repeating = events.iter().filter(|event| event.repeats() && event.account_id.is_some());
    let mut windows: BTreeMap<WindowKey, Window> = repeating.map(|event| (key(event), Window::new())).collect();
    if windows.is_empty() {
        return Ok(windows);
    }
    let keys: Vec<WindowKey> = windows.keys().cloned().collect();
    let mut rows = Vec::new();
    for keys in keys.chunks(conn.at_once(keys.len())) {
        rows.extend(stored_windows(conn, keys).await?);
    }
    for (account, kind, is_over, recorded, held, last_at, (session_id, device_id, device_name, detail)) in rows {
        let last = Event { session_id, device_id, device_name, detail, ..Event::of(kind, &account) };
        let last = Some(last).filter(|_| held > 0);
        if let Some(window) = windows.get_mut(&(account, kind.as_str())) {
            *window = Window { is_over, is_new: false, recorded, held, last, last_at };
        }
    }
    Ok(windows)
}

/// The stored windows of these accounts and kinds.
async fn stored_windows(conn: &mut Conn<'_>, keys: &[WindowKey]) -> Result<Vec<WindowRow>> {
    let (accounts, kinds): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|(account, kind)| (account.as_str(), *kind)).unzip();
    let is_over = repeats::began_at.le(before_now(WINDOW)).or(repeats::began_at.gt(now()));
    let last = (repeats::session_id, repeats::device_id, repeats::device_name, repeats::detail);
    let those = repeats::table.filter(repeats::account_id.eq_any(accounts).and(repeats::kind.eq_any(kinds)));
    let columns =
        (repeats::account_id, repeats::kind, is_over, repeats::recorded, repeats::held, repeats::last_at, last);
    run!(conn, load(those.select(columns)))
}

async fn store(conn: &mut Conn<'_>, (account, kind): &WindowKey, window: &Window) -> Result<()> {
    let own = || repeats::table.filter(repeats::account_id.eq(account)).filter(repeats::kind.eq(*kind));
    if window.is_new && window.recorded == 0 {
        return run!(conn, execute(diesel::delete(own()))).map(drop);
    }
    let last = window.last.as_ref();
    let text = |of: fn(&Event) -> &Option<String>| last.and_then(|last| of(last).clone());
    let counted = (
        repeats::recorded.eq(window.recorded),
        repeats::held.eq(window.held),
        repeats::last_at.eq(window.last_at),
        repeats::session_id.eq(text(|last| &last.session_id)),
        repeats::device_id.eq(text(|last| &last.device_id)),
        repeats::device_name.eq(text(|last| &last.device_name)),
        repeats::detail.eq(text(|last| &last.detail)),
    );
    if !window.is_new {
        return run!(conn, execute(diesel::update(own()).set(counted))).map(drop);
    }
    let new = (repeats::account_id.eq(account), repeats::kind.eq(*kind), repeats::began_at.eq(now()), counted.clone());
    run!(
        conn,
        execute(
            diesel::insert_into(repeats::table)
                .values(new)
                .on_conflict((dsl::account_id, dsl::kind))
                .do_update()
                .set((repeats::began_at.eq(excluded(repeats::began_at)), counted))
        )
    )
    .map(drop)
}

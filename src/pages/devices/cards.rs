//! The rows of the devices page: one for each device. Called by the page.
//!
//! Invariant: each device has exactly one row.

use crate::{
    actions::end_sessions::Ending,
    base::db::Instant,
    records::session::{CurrentUser, Record, arrivals::Arrivals, devices::UsedDevice},
    web::layout::When,
};

/// The row of a device.
pub(super) struct Card {
    pub id: String,
    pub name: String,
    pub kind: &'static str,
    /// The client, such as "Firefox on Linux"; `None` if the device has that name.
    pub label: Option<String>,
    pub installed: bool,
    pub current: bool,
    pub new: bool,
    /// Whether the current device may acknowledge this new device.
    pub may_answer: bool,
    pub ip: Option<String>,
    pub first: When,
    pub last: When,
    /// Whether somebody is signed in on the device.
    pub live: bool,
    /// The [`Ending`] that "Sign out" submits. `None` for this device, which has its button in the header.
    pub ending: Option<String>,
    /// Each sign-in, if there are several.
    pub sign_ins: Vec<SignIn>,
    /// Whether the menu is open.
    pub open: bool,
    /// A refused new name for this device.
    pub refused: Option<RefusedName>,
}

/// A new name that was refused, and the message that explains why.
#[derive(Clone)]
pub(super) struct RefusedName {
    pub device: String,
    pub typed: String,
    pub words: String,
}

/// A sign-in: a live session as the page shows it.
pub(super) struct SignIn {
    pub since: When,
    /// The [`Ending`] that its button submits. `None` for the current session, which has its button in the header.
    pub ending: Option<String>,
}

/// Builds a row for each device: the current device first, then the most recently active ones. `living` holds the
/// account's live sessions.
pub(super) fn draw(
    known: Vec<UsedDevice>,
    living: &[(Record, Option<String>)],
    user: &CurrentUser,
    arrivals: &Arrivals,
) -> Vec<Card> {
    let mut cards: Vec<(Instant, Card)> = known
        .into_iter()
        .map(|known| {
            let here: Vec<&Record> = living
                .iter()
                .map(|(record, _)| record)
                .filter(|record| record.device_id.as_deref() == Some(&known.device.id))
                .collect();
            Card::new(known, &here, user, arrivals)
        })
        .collect();
    cards.sort_by_key(|(last, card)| (std::cmp::Reverse(card.current), std::cmp::Reverse(*last)));
    cards.into_iter().map(|(_, card)| card).collect()
}

impl Card {
    fn new(known: UsedDevice, here: &[&Record], user: &CurrentUser, arrivals: &Arrivals) -> (Instant, Self) {
        let (device, now) = (known.device, user.now);
        let newest = here.iter().max_by_key(|record| record.last_activity);
        let last = newest.map_or(device.last_seen, |record| record.last_activity.max(device.last_seen));
        let label = device.client().label();
        let current = user.record.device_id.as_deref() == Some(&device.id);
        let sign_ins =
            if here.len() > 1 { here.iter().map(|record| SignIn::new(record, user)).collect() } else { Vec::new() };
        let card = Self {
            kind: device.client().kind.as_str(),
            label: (label != device.name).then_some(label),
            installed: device.installed,
            current,
            new: device.acknowledged_at.is_none(),
            may_answer: arrivals.may_answer && device.acknowledged_at.is_none() && !current,
            ip: newest.and_then(|record| record.ip.clone()).or(known.ip),
            first: When::past(device.first_seen, now),
            last: When::past(last, now),
            live: newest.is_some(),
            ending: newest.filter(|_| !current).map(|newest| match here.len() {
                1 => Ending::Session(newest.id.clone()).to_string(),
                _ => Ending::OnDevice(device.id.clone()).to_string(),
            }),
            sign_ins,
            open: false,
            refused: None,
            id: device.id,
            name: device.name,
        };
        (last, card)
    }
}

impl SignIn {
    fn new(record: &Record, user: &CurrentUser) -> Self {
        let current = record.id == user.record.id;
        Self {
            since: When::past(record.created_at, user.now),
            ending: (!current).then(|| Ending::Session(record.id.clone()).to_string()),
        }
    }
}

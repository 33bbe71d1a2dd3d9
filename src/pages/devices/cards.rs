//! What the page shows: a card for each device, with its sign-ins.

use crate::{
    actions::end_sessions::Ending,
    base::db::Instant,
    records::session::{CurrentUser, Record, arrivals::Arrivals, devices::UsedDevice},
    web::layout::When,
};

/// A device.
pub(super) struct Card {
    pub id: String,
    pub name: String,
    pub kind: &'static str,
    /// "Firefox on Linux", unless that is its name.
    pub label: Option<String>,
    pub installed: bool,
    pub current: bool,
    pub new: bool,
    /// Whether the device in use may say that it is the person's own.
    pub may_answer: bool,
    pub ip: Option<String>,
    pub first: When,
    pub last: When,
    pub sign_ins: Vec<SignIn>,
    /// A name that was typed and cannot be one, and why.
    pub refused: Option<RefusedName>,
}

/// A name that was typed and cannot be one.
#[derive(Clone)]
pub(super) struct RefusedName {
    pub device: String,
    pub typed: String,
    pub words: String,
}

/// A session, as people know it.
pub(super) struct SignIn {
    pub since: When,
    /// What its button ends; none for the one in use, which has its button in the header.
    pub ending: Option<String>,
}

/// A card for each device, the one in use first, then by activity. `living` are the account's living sessions.
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
        let card = Self {
            kind: device.client().kind.as_str(),
            label: (label != device.name).then_some(label),
            installed: device.installed,
            current: user.record.device_id.as_deref() == Some(&device.id),
            new: device.acknowledged_at.is_none(),
            may_answer: arrivals.may_answer
                && device.acknowledged_at.is_none()
                && user.record.device_id.as_deref() != Some(&device.id),
            ip: newest.and_then(|record| record.ip.clone()).or(known.ip),
            first: When::past(device.first_seen, now),
            last: When::past(last, now),
            sign_ins: here.iter().map(|record| SignIn::new(record, user)).collect(),
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

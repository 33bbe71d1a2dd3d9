//! Events of the audit trail in plain words.

use crate::{
    audit::{self, Kind, Recorded},
    db::Instant,
    page::When,
};

/// An event as it is shown.
pub struct EventRow {
    /// "Signed in on a new device".
    pub title: &'static str,
    /// "Firefox on Linux".
    pub line: String,
    /// When.
    pub when: When,
    /// `warm` for what looks wrong or ends something.
    pub tone: &'static str,
}

impl EventRow {
    /// The newest events that say something to people: a login is one line, not one for each thing it did.
    pub fn rows(events: &[Recorded], now: Instant, most: usize) -> Vec<Self> {
        let new_device = |session: &Option<String>| {
            events.iter().any(|event| event.kind == Kind::DeviceNew && event.session_id == *session)
        };
        events
            .iter()
            .filter(|event| match event.kind {
                Kind::SessionCreated | Kind::SessionRegenerated => false,
                Kind::LoginSucceeded => !new_device(&event.session_id),
                _ => true,
            })
            .take(most)
            .map(|event| Self::new(event, now))
            .collect()
    }

    fn new(event: &Recorded, now: Instant) -> Self {
        let by_operator = event.actor == audit::OPERATOR;
        let (title, tone) = match event.kind {
            Kind::AccountCreated => ("Your account was made", "plain"),
            Kind::AccountDisabled => ("Your account was closed by whoever runs Sessile", "warm"),
            Kind::AccountEnabled => ("Your account was opened again", "plain"),
            Kind::LoginSucceeded | Kind::SessionCreated | Kind::SessionRegenerated => ("Signed in", "plain"),
            Kind::LoginFailed => ("Wrong password", "warm"),
            Kind::LoginThrottled => ("Too many wrong passwords, so tries were slowed down", "warm"),
            Kind::LoginConfirmed => ("You gave your password again", "plain"),
            Kind::SessionExpired => ("Signed out after a long time away", "plain"),
            Kind::SessionRevoked if by_operator => ("Signed out by whoever runs Sessile", "warm"),
            Kind::SessionRevoked => ("Signed out from elsewhere", "warm"),
            Kind::SessionReplaced => ("Somebody else signed in on this device", "warm"),
            Kind::SessionUsedAfterEnd => ("A signed-out device came back", "plain"),
            Kind::Logout => ("Signed out", "plain"),
            Kind::DeviceNew => ("Signed in on a new device", "plain"),
            Kind::DeviceRenamed => ("A device got another name", "plain"),
            Kind::PasswordChanged if by_operator => ("Password changed by whoever runs Sessile", "warm"),
            Kind::PasswordChanged => ("Password changed", "plain"),
        };
        let line = event.device_name.clone().or_else(|| event.ip.clone()).unwrap_or_default();
        Self { title, line, when: When::past(event.at, now), tone }
    }
}

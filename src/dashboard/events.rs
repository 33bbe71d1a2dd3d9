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
    /// In plain words.
    pub fn new(event: &Recorded, now: Instant) -> Self {
        let by_operator = event.actor == audit::OPERATOR;
        let (title, tone) = match event.kind {
            Kind::AccountCreated => ("Your account was made", "plain"),
            Kind::LoginSucceeded => ("Signed in", "plain"),
            Kind::LoginFailed => ("Wrong password", "warm"),
            Kind::SessionCreated => ("Stays signed in", "plain"),
            Kind::SessionRegenerated => ("Signed in again", "plain"),
            Kind::SessionExpired => ("Signed out after a long time away", "plain"),
            Kind::SessionRevoked if by_operator => ("Signed out by whoever runs Sessile", "warm"),
            Kind::SessionRevoked => ("Signed out from elsewhere", "warm"),
            Kind::SessionReplaced => ("Somebody else signed in on this device", "warm"),
            Kind::SessionUsedAfterEnd => ("A signed-out device came back", "plain"),
            Kind::Logout => ("Signed out", "plain"),
            Kind::DeviceNew => ("Signed in on a new device", "plain"),
            Kind::PasswordChanged if by_operator => ("Password changed by whoever runs Sessile", "warm"),
            Kind::PasswordChanged => ("Password changed", "plain"),
        };
        let line = event.device_name.clone().or_else(|| event.ip.clone()).unwrap_or_default();
        Self { title, line, when: When::past(event.at, now), tone }
    }
}

//! Turns audit events into the plain words of the Activity page and the dashboard.

use std::collections::BTreeSet;

use crate::{
    actions::end_sessions::Ending,
    base::db::Instant,
    records::audit::{self, Kind, Recorded},
    web::{layout::When, manager_words::Names},
};

/// An audit event as a page shows it.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// "Signed in on a new device".
    pub title: &'static str,
    /// "Firefox on Linux".
    pub line: String,
    /// The IP address, or empty if it is unknown or already in `line`.
    pub from: String,
    pub when: When,
    /// `warm` for an event that looks suspicious or ends a session.
    pub tone: &'static str,
    /// The ending that "Wasn't me" submits. None if the event has no such button.
    pub not_me: Option<String>,
}

/// The devices whose sign-ins get a "Wasn't me" button.
#[derive(Debug, Clone, Default)]
pub struct Doubtful(BTreeSet<String>);

impl Doubtful {
    /// All `devices` of the account except the device in use.
    pub fn new(devices: impl IntoIterator<Item = String>, in_use: Option<&str>) -> Self {
        Self(devices.into_iter().filter(|id| Some(id.as_str()) != in_use).collect())
    }

    fn ending_of(&self, event: &Recorded) -> Option<String> {
        let device = event.device_id.as_ref().filter(|id| self.0.contains(*id))?;
        matches!(event.kind, Kind::LoginSucceeded | Kind::DeviceNew).then(|| Ending::NotMe(device.clone()).to_string())
    }
}

/// The devices that these events signed in on.
pub fn devices_of(events: &[Recorded]) -> BTreeSet<&str> {
    events
        .iter()
        .filter(|event| matches!(event.kind, Kind::LoginSucceeded | Kind::DeviceNew))
        .filter_map(|event| event.device_id.as_deref())
        .collect()
}

impl EventRow {
    /// The rows to show. A login records several events but gets one row. Of a device's sign-ins, only the newest asks
    /// whether it was the person.
    pub fn rows(events: &[Recorded], now: Instant, (doubtful, names): (&Doubtful, &Names)) -> Vec<Self> {
        let mut asked = BTreeSet::new();
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
            .map(|event| {
                let not_me = doubtful.ending_of(event).filter(|ending| asked.insert(ending.clone()));
                Self::new(event, now, not_me).named(names.words(event))
            })
            .collect()
    }

    /// The row with these words instead, if there are some.
    fn named(self, words: Option<(&'static str, String)>) -> Self {
        match words {
            Some((title, line)) => Self { title, line, ..self },
            None => self,
        }
    }

    fn new(event: &Recorded, now: Instant, not_me: Option<String>) -> Self {
        let (title, tone) = in_words(event);
        let ip = event.ip.clone().unwrap_or_default();
        let (line, from) = match (&event.device_name, event.kind, event.detail.as_deref()) {
            (
                _,
                Kind::AppOpened
                | Kind::AppDenied
                | Kind::AppAdded
                | Kind::AppChanged
                | Kind::AppRemoved
                | Kind::PasskeyAdded
                | Kind::PasskeyRenamed
                | Kind::PasskeyRemoved
                | Kind::PasskeyUsed,
                Some(name),
            ) => (event.device_name.as_ref().map_or_else(|| name.to_owned(), |device| format!("{name}, {device}")), ip),
            (Some(name), Kind::DeviceRenamed, Some(was)) => {
                (format!("{name}, before: {}", was.trim_start_matches("was ")), ip)
            }
            (Some(name), ..) => (name.clone(), ip),
            (None, ..) => (ip, String::new()),
        };
        Self { title, line, from, when: When::past(event.at, now), tone, not_me }
    }
}

fn in_words(event: &Recorded) -> (&'static str, &'static str) {
    let by_operator = event.actor == audit::OPERATOR;
    let by_system = event.actor == audit::SYSTEM;
    match event.kind {
        Kind::AccountCreated => ("Account created", "plain"),
        Kind::AccountInvited => ("Invited by an administrator", "plain"),
        Kind::InvitationCancelled => ("Invitation cancelled", "plain"),
        Kind::EmailChangeAsked => ("Change of the email address asked for", "warm"),
        Kind::AccountRenamed if by_operator => ("Name changed by the administrator", "plain"),
        Kind::AccountRenamed => ("Name changed", "plain"),
        Kind::AccountEmailChanged if by_operator => ("Email address changed by the administrator", "warm"),
        Kind::AccountEmailChanged => ("Email address changed", "warm"),
        Kind::AccountRoleChanged if by_operator => ("Role changed by the administrator", "plain"),
        Kind::AccountRoleChanged => ("Role changed", "plain"),
        Kind::AccountGroupsChanged if by_operator => ("Groups changed by the administrator", "plain"),
        Kind::AccountGroupsChanged => ("Groups changed", "plain"),
        Kind::AccountExported if by_operator => ("Data downloaded by the administrator", "warm"),
        Kind::AccountExported => ("Data downloaded", "warm"),
        Kind::AccountDeletionAsked => ("Deletion of the account asked for", "warm"),
        Kind::AccountKept => ("Signed in again: the account is kept", "plain"),
        Kind::AccountDeleted => ("Account deleted", "warm"),
        Kind::AccountDisabled => ("Account disabled by the administrator", "warm"),
        Kind::AccountEnabled => ("Account enabled again", "plain"),
        Kind::LoginSucceeded | Kind::SessionCreated | Kind::SessionRegenerated => ("Signed in", "plain"),
        Kind::LoginFailed => ("Wrong password", "warm"),
        Kind::LoginThrottled => ("Too many wrong passwords: sign-in was slowed down", "warm"),
        Kind::LoginConfirmed => ("Password confirmed", "plain"),
        Kind::SessionExpired => ("Signed out after a long time without use", "plain"),
        Kind::SessionRevoked if by_operator => ("Signed out by the administrator", "warm"),
        Kind::SessionRevoked if by_system => ("Signed out to make room for a new sign-in", "plain"),
        Kind::SessionRevoked if event.detail.as_deref() == Some("password-changed") => {
            ("Signed out because the password was changed", "plain")
        }
        Kind::SessionRevoked if event.detail.as_deref() == Some(audit::HERE) => {
            ("Signed out on the device itself", "plain")
        }
        Kind::SessionRevoked => ("Signed out from another device", "plain"),
        Kind::AllSessionsRevoked => ("Everybody was signed out by the administrator", "warm"),
        Kind::SessionReplaced => ("Somebody else signed in on this device", "warm"),
        Kind::SessionUsedAfterEnd => ("A signed-out device tried again and was refused", "plain"),
        Kind::Logout => ("Signed out", "plain"),
        Kind::DeviceNew => ("Signed in on a new device", "plain"),
        Kind::DeviceRenamed => ("Device renamed", "plain"),
        Kind::DeviceForgotten => ("Device removed", "plain"),
        Kind::PasswordChanged if by_operator => ("Password changed by the administrator", "warm"),
        Kind::PasswordChanged => ("Password changed", "plain"),
        Kind::PasswordLinkMade => ("An administrator made you a link for a new password", "warm"),
        Kind::PasswordReset => ("New password chosen with a link", "warm"),
        Kind::PasswordHelpAsked => ("Somebody asked for help with a forgotten password", "warm"),
        Kind::PasskeyAdded => ("Passkey added", "warm"),
        Kind::PasskeyRenamed => ("Passkey renamed", "plain"),
        Kind::PasskeyRemoved => ("Passkey removed", "warm"),
        Kind::PasskeyUsed => ("Passkey used", "plain"),
        Kind::TotpAdded => ("Authenticator app added", "warm"),
        Kind::TotpRemoved => ("Authenticator app removed", "warm"),
        Kind::RecoveryMade => ("New recovery codes made", "warm"),
        Kind::RecoveryUsed => ("Recovery code used", "warm"),
        Kind::SecondFactorFailed => match event.detail.as_deref() {
            Some(audit::COPIED_PASSKEY) => ("Passkey refused: it may have been copied", "warm"),
            Some(audit::WRONG_PASSKEY) => ("Passkey refused", "warm"),
            _ => ("Wrong code", "warm"),
        },
        Kind::SecondFactorReset => ("Second factor removed by the administrator", "warm"),
        Kind::AppOpened => ("App opened", "plain"),
        Kind::AppDenied => ("App not opened: no access", "warm"),
        Kind::AppAdded => ("App added", "plain"),
        Kind::AppChanged => ("App changed", "plain"),
        Kind::AppRemoved => ("App removed", "plain"),
        Kind::SyncApplied => ("Drafts saved", "plain"),
        Kind::SyncConflict => ("A draft was written in two places; both are kept", "plain"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(kind: Kind, detail: Option<&str>) -> Recorded {
        Recorded {
            id: 1,
            at: Instant::from_micros(0),
            kind,
            actor: "acc_kim".to_owned(),
            session_id: None,
            device_id: None,
            device_name: Some("Laptop".to_owned()),
            ip: Some("192.0.2.1".to_owned()),
            detail: detail.map(str::to_owned),
        }
    }

    #[test]
    fn a_passkey_is_named_and_a_failed_one_is_explained() {
        let row = |kind, detail| {
            let row = EventRow::new(&recorded(kind, detail), Instant::from_micros(0), None);
            (row.title, row.line)
        };
        assert_eq!(row(Kind::PasskeyUsed, Some("Phone")), ("Passkey used", "Phone, Laptop".to_owned()));
        let failed = |detail| row(Kind::SecondFactorFailed, detail);
        assert_eq!(failed(None), ("Wrong code", "Laptop".to_owned()));
        assert_eq!(failed(Some(audit::WRONG_PASSKEY)), ("Passkey refused", "Laptop".to_owned()));
        assert_eq!(failed(Some(audit::COPIED_PASSKEY)).0, "Passkey refused: it may have been copied");
    }
}

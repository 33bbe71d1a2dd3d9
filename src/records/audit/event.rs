//! The kinds of audit events, the event to record ([`Event`]), and the stored event ([`Recorded`]). Used by everything
//! that records or reads audit events.
//!
//! Invariant: the words of [`Kind`] are stored in the database and sent by the API, so they never change.

use diesel::{Queryable, Selectable};

use crate::base::{
    db::{Instant, schema::audit, words},
    text::is_id,
};

words! {
    /// What happened.
    pub enum Kind {
        /// An account was created.
        AccountCreated = "account.created",
        /// A person was invited. They have an account, but no password yet.
        AccountInvited = "account.invited",
        /// The link of an invitation was made to stop working.
        InvitationCancelled = "account.invitation-cancelled",
        /// An account was renamed.
        AccountRenamed = "account.renamed",
        /// An account was disabled, so it can no longer sign in.
        AccountDisabled = "account.disabled",
        /// An account was enabled, so it can sign in again.
        AccountEnabled = "account.enabled",
        /// Another e-mail address was given for an account. It counts once it is verified.
        EmailChangeAsked = "account.email-change-asked",
        /// An account got another e-mail address.
        AccountEmailChanged = "account.email-changed",
        /// An account got another role.
        AccountRoleChanged = "account.role-changed",
        /// The groups of an account changed.
        AccountGroupsChanged = "account.groups-changed",
        /// Everything that is kept about a person was exported.
        AccountExported = "account.exported",
        /// A person asked for the deletion of their account, and has some days to change their mind.
        AccountDeletionAsked = "account.deletion-asked",
        /// A person signed in again before their account was deleted.
        AccountKept = "account.kept",
        /// An account was deleted. It is the only event that remains of the account.
        AccountDeleted = "account.deleted",
        /// A login with the correct password.
        LoginSucceeded = "login.succeeded",
        /// A login with a wrong password, or for an address without an account.
        LoginFailed = "login.failed",
        /// A password was not checked, because there were too many wrong ones before. Recorded once
        /// until the next wrong password.
        LoginThrottled = "login.throttled",
        /// A signed-in person confirmed their password.
        LoginConfirmed = "login.confirmed",
        /// A session began.
        SessionCreated = "session.created",
        /// A session got a new id and key because the same person logged in again.
        SessionRegenerated = "session.regenerated",
        /// A session was idle for too long or reached its absolute end.
        SessionExpired = "session.expired",
        /// A session was ended from another session, by a command, or to make room for a new session.
        SessionRevoked = "session.revoked",
        /// All sessions were ended at once by a command. An event for each session follows.
        AllSessionsRevoked = "session.all-revoked",
        /// Another person logged in with the same browser, which ended the session.
        SessionReplaced = "session.replaced",
        /// A browser sent the key of an ended session. Recorded once per session.
        SessionUsedAfterEnd = "session.used-after-end",
        /// A session was logged out.
        Logout = "logout",
        /// An account signed in from a new browser.
        DeviceNew = "device.new",
        /// A device was renamed.
        DeviceRenamed = "device.renamed",
        /// A device was forgotten, which ended its sessions.
        DeviceForgotten = "device.forgotten",
        /// The account's password was changed.
        PasswordChanged = "password.changed",
        /// An administrator made a link with which the person can choose a new password.
        PasswordLinkMade = "password.link-made",
        /// A new password was chosen with a link.
        PasswordReset = "password.reset",
        /// The person forgot their password and asked for help.
        PasswordHelpAsked = "password.help-asked",
        /// A passkey was added.
        PasskeyAdded = "passkey.added",
        /// A passkey was renamed.
        PasskeyRenamed = "passkey.renamed",
        /// A passkey was removed.
        PasskeyRemoved = "passkey.removed",
        /// A passkey was used for a sign-in or a confirmation.
        PasskeyUsed = "passkey.used",
        /// An authenticator app was added.
        TotpAdded = "totp.added",
        /// An authenticator app was removed.
        TotpRemoved = "totp.removed",
        /// New recovery codes were made. The old ones no longer work.
        RecoveryMade = "recovery.made",
        /// A recovery code was used. It works no more.
        RecoveryUsed = "recovery.used",
        /// A second factor was refused: a wrong code, or a passkey that may have been copied.
        SecondFactorFailed = "second-factor.failed",
        /// The passkeys, the authenticator app and the recovery codes were removed by an administrator.
        SecondFactorReset = "second-factor.reset",
        /// A device uploaded drafts. If it only edited drafts, recorded at most once in ten minutes.
        SyncApplied = "sync.applied",
        /// A draft was changed on two devices, and both texts were kept.
        SyncConflict = "sync.conflict",
        /// A session opened an app for the first time.
        AppOpened = "app.opened",
        /// A person wanted to open an app that does not admit them.
        AppDenied = "app.denied",
        /// An app was added.
        AppAdded = "app.added",
        /// An app was changed, disabled or enabled, or got a new gate token or secret.
        AppChanged = "app.changed",
        /// An app was removed.
        AppRemoved = "app.removed",
    }
}

/// The actor of an event that an operator caused with a command.
pub const OPERATOR: &str = "operator";
/// The actor of an event that no person caused, such as an expiry.
pub const SYSTEM: &str = "system";
/// The detail of an event in which a session ended itself.
pub const HERE: &str = "here";

/// The detail of a second factor that failed because a passkey's counter did not go up: it may have been copied.
pub const COPIED_PASSKEY: &str = "passkey-copied";
/// The detail of a second factor that failed because a passkey was not accepted for another reason.
pub const WRONG_PASSKEY: &str = "passkey";

/// How the detail of an event about another account begins. The account's id follows.
const OF: &str = "of ";

/// An event to record.
#[derive(Debug, Clone)]
pub struct Event {
    pub(super) kind: Kind,
    pub(super) account_id: Option<String>,
    pub(super) actor: String,
    pub(super) session_id: Option<String>,
    pub(super) device_id: Option<String>,
    pub(super) device_name: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) detail: Option<String>,
    /// Not a real event: it only makes [`repeats`](super::repeats) record its count if the hour is over.
    pub(super) only_closes: bool,
    /// Caused by a password confirmation, which is recorded anyway.
    pub(super) of_confirmation: bool,
    /// Recorded in full, however many there are of its kind.
    pub(super) in_full: bool,
}

impl Event {
    /// An event of an account, with the account itself as actor.
    pub fn of(kind: Kind, account_id: &str) -> Self {
        Self {
            kind,
            account_id: Some(account_id.to_owned()),
            actor: account_id.to_owned(),
            session_id: None,
            device_id: None,
            device_name: None,
            ip: None,
            detail: None,
            only_closes: false,
            of_confirmation: false,
            in_full: false,
        }
    }

    /// An event without an account, with an unknown visitor as actor.
    pub fn of_nobody(kind: Kind) -> Self {
        Self { account_id: None, actor: "visitor".to_owned(), ..Self::of(kind, "") }
    }

    /// The same event with another kind.
    #[must_use]
    pub fn about(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets an actor other than the account.
    #[must_use]
    pub fn by(mut self, actor: &str) -> Self {
        actor.clone_into(&mut self.actor);
        self
    }

    #[must_use]
    pub fn session(mut self, id: &str) -> Self {
        self.session_id = Some(id.to_owned());
        self
    }

    #[must_use]
    pub fn device(mut self, id: Option<&str>, name: Option<&str>) -> Self {
        self.device_id = id.map(str::to_owned);
        self.device_name = name.map(str::to_owned);
        self
    }

    /// The client's address.
    pub fn client_ip(&self) -> Option<String> {
        self.ip.clone()
    }

    #[must_use]
    pub fn ip(mut self, ip: Option<&str>) -> Self {
        self.ip = ip.map(str::to_owned);
        self
    }

    /// Marks the event as caused by a password confirmation, not by a sign-in. Many such events are summed up in one,
    /// as confirmations are.
    #[must_use]
    pub fn of_confirmation(mut self) -> Self {
        self.of_confirmation = true;
        self
    }

    /// An event in the trail of a person who manages others, about another account. Only the account's id is recorded:
    /// nothing personal may remain in a trail when that account is deleted.
    #[must_use]
    pub fn about_account(self, kind: Kind, account_id: &str) -> Self {
        Self { in_full: true, ..self.about(kind).detail(&format!("{OF}{account_id}")) }
    }

    /// Sets the person who manages the account as the actor. The event has neither the actor's device nor address.
    #[must_use]
    pub fn by_manager(self, actor: &str) -> Self {
        Self { in_full: true, ..self.by(actor) }
    }

    #[must_use]
    pub fn detail(mut self, detail: &str) -> Self {
        self.detail = Some(detail.to_owned());
        self
    }
}

/// A stored event.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Recorded {
    /// Counts within the account: its first event is 1.
    pub id: i64,
    /// By the database's clock.
    pub at: Instant,
    pub kind: Kind,
    /// An account's id, `operator`, `system` or `visitor`.
    pub actor: String,
    pub session_id: Option<String>,
    pub device_id: Option<String>,
    /// The device's name at the time of the event.
    pub device_name: Option<String>,
    pub ip: Option<String>,
    pub detail: Option<String>,
}

impl Event {
    /// Whether the event is about the account in whose trail it is, and not about another one.
    pub(super) fn is_own(&self) -> bool {
        self.detail.as_deref().is_none_or(|detail| !detail.starts_with(OF))
    }
}

impl Recorded {
    /// The other account that the event in its actor's own trail is about.
    pub fn other_account(&self) -> Option<&str> {
        let id = self.detail.as_deref()?.strip_prefix(OF)?;
        (id.starts_with("acc_") && is_id(id)).then_some(id)
    }

    /// The account of the actor, if the actor is not an operator, the program or a visitor.
    pub fn acting_account(&self) -> Option<&str> {
        Some(self.actor.as_str()).filter(|actor| actor.starts_with("acc_"))
    }
}

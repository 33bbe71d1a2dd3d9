//! The kinds of events, an event to be recorded, and one as it was recorded.

use diesel::{Queryable, Selectable};

use crate::base::db::{Instant, schema::audit, words};

words! {
    /// What happened. The words are the contract's.
    pub enum Kind {
        /// An account was made.
        AccountCreated = "account.created",
        /// An account got another name.
        AccountRenamed = "account.renamed",
        /// An account may not sign in any more.
        AccountDisabled = "account.disabled",
        /// An account may sign in again.
        AccountEnabled = "account.enabled",
        /// A login with the right password.
        LoginSucceeded = "login.succeeded",
        /// A login with a wrong one, or for nobody.
        LoginFailed = "login.failed",
        /// A password was not checked, since too many wrong ones had come before. Once until the next wrong one.
        LoginThrottled = "login.throttled",
        /// Somebody who is signed in gave the right password again.
        LoginConfirmed = "login.confirmed",
        /// A session began.
        SessionCreated = "session.created",
        /// A session got a new id and key at a login of the same person.
        SessionRegenerated = "session.regenerated",
        /// Nobody used a session for too long, or it came to its absolute end.
        SessionExpired = "session.expired",
        /// Somebody ended a session from elsewhere.
        SessionRevoked = "session.revoked",
        /// Another person logged in over a session.
        SessionReplaced = "session.replaced",
        /// A browser came with the key of a session that has ended. Once a session.
        SessionUsedAfterEnd = "session.used-after-end",
        /// A session was logged out.
        Logout = "logout",
        /// An account was used from a browser not seen before.
        DeviceNew = "device.new",
        /// A device got another name.
        DeviceRenamed = "device.renamed",
        /// A device was forgotten, and its sessions ended.
        DeviceForgotten = "device.forgotten",
        /// An account got a new password.
        PasswordChanged = "password.changed",
        /// Drafts came from a device. Of edits alone once in ten minutes.
        SyncApplied = "sync.applied",
        /// A draft was changed in two places; both texts are kept.
        SyncConflict = "sync.conflict",
    }
}

/// Who did it, when it was not the account itself.
pub const OPERATOR: &str = "operator";
/// Nobody in particular: time ran out.
pub const SYSTEM: &str = "system";
/// The detail of an end that the session itself asked for.
pub const HERE: &str = "here";

/// Something that happened.
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
    /// It is nothing that happened: it has the count of those before it recorded, if their hour is over.
    pub(super) only_closes: bool,
    /// It came with a confirmation, which says as much.
    pub(super) of_confirmation: bool,
}

impl Event {
    /// What happened to an account, done by the account itself.
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
        }
    }

    /// What an unknown visitor did to no account.
    pub fn of_nobody(kind: Kind) -> Self {
        Self { account_id: None, actor: "visitor".to_owned(), ..Self::of(kind, "") }
    }

    /// The same of something else that happened.
    #[must_use]
    pub fn about(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Done by somebody else than the account.
    #[must_use]
    pub fn by(mut self, actor: &str) -> Self {
        actor.clone_into(&mut self.actor);
        self
    }

    /// In this session.
    #[must_use]
    pub fn session(mut self, id: &str) -> Self {
        self.session_id = Some(id.to_owned());
        self
    }

    /// On this device.
    #[must_use]
    pub fn device(mut self, id: Option<&str>, name: Option<&str>) -> Self {
        self.device_id = id.map(str::to_owned);
        self.device_name = name.map(str::to_owned);
        self
    }

    /// From this address.
    #[must_use]
    pub fn ip(mut self, ip: Option<&str>) -> Self {
        self.ip = ip.map(str::to_owned);
        self
    }

    /// It came with a confirmation of the password, and not with a sign-in: if there are many, it is counted as those are.
    #[must_use]
    pub fn of_confirmation(mut self) -> Self {
        self.of_confirmation = true;
        self
    }

    /// More, in a few plain words.
    #[must_use]
    pub fn detail(mut self, detail: &str) -> Self {
        self.detail = Some(detail.to_owned());
        self
    }
}

/// An event as it was written.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Recorded {
    /// The account's own number: 1 is its first event.
    pub id: i64,
    /// When, by the database's clock.
    pub at: Instant,
    /// What.
    pub kind: Kind,
    /// Who: an account's id, `operator`, `system` or `visitor`.
    pub actor: String,
    /// In which session.
    pub session_id: Option<String>,
    /// On which device.
    pub device_id: Option<String>,
    /// By the name it had then.
    pub device_name: Option<String>,
    /// From where.
    pub ip: Option<String>,
    /// More.
    pub detail: Option<String>,
}

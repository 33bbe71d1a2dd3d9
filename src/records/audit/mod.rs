//! The audit trail: what happened to an account, by whom, from where. Written in the same transaction as what it
//! records, by whoever does it; each account's events are links of a chain.
//!
//! Invariant: no key, secret or password is ever part of an event, and rows are only added. Nothing in them changes but
//! that addresses are wiped, and the oldest are removed.

pub mod anchor;
mod chain;
mod checkpoint;
mod finding;
pub mod mark;
mod page;
pub mod repeats;
pub mod retention;
pub mod verify;
pub mod wipe;

use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable, Selectable};

pub use self::chain::is_begun;
pub use self::page::{Cursor, MOST_A_PAGE, Page, Topic, newest, newest_before, of_kinds, page};
use crate::{
    base::{
        db::{Conn, Instant, before_now, run, schema::audit, words},
        error::Result,
    },
    records::news,
};

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
    kind: Kind,
    account_id: Option<String>,
    actor: String,
    session_id: Option<String>,
    device_id: Option<String>,
    device_name: Option<String>,
    ip: Option<String>,
    detail: Option<String>,
    /// It is nothing that happened: it has the count of those before it recorded, if their hour is over.
    only_closes: bool,
    /// It came with a confirmation, which says as much.
    of_confirmation: bool,
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

/// Writes events, with the transaction of what they record: just before it commits, all that it recorded at once and in
/// this order, so that it holds the trail of an account as shortly as it can.
///
/// # Errors
/// Outside of a transaction. That the database is away is told when the transaction ends, and it fails as a whole.
pub async fn record(conn: &mut Conn<'_>, events: &[Event]) -> Result<()> {
    news::changed(conn, events.iter().filter_map(|event| event.account_id.as_deref()))?;
    conn.epilogue::<chain::Pending>()?.add(events);
    Ok(())
}

/// When the account signed in, or failed to, in the last days: of each at most 1,000, the newest.
///
/// # Errors
/// When the database is away.
pub async fn sign_ins_of_last_days(conn: &mut Conn<'_>, account_id: &str, days: u32) -> Result<Vec<(Kind, Instant)>> {
    let since = before_now(std::time::Duration::from_secs(u64::from(days) * 86_400));
    let mut sign_ins = Vec::new();
    for kind in [Kind::LoginSucceeded, Kind::LoginFailed] {
        // Bounded before the times are looked at, which no index has beside the account.
        let newest: Vec<(Kind, Instant, bool)> = run!(
            conn,
            load(
                audit::table
                    .filter(audit::account_id.eq(account_id))
                    .filter(audit::kind.eq(kind))
                    .order(audit::id.desc())
                    .limit(1000)
                    .select((audit::kind, audit::at, audit::at.gt(since)))
            )
        )?;
        sign_ins.extend(newest.into_iter().filter(|(_, _, recent)| *recent).map(|(kind, at, _)| (kind, at)));
    }
    Ok(sign_ins)
}

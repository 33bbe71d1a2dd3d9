//! Sessions, the heart of the product: from login to their end, and 30 days beyond so that the browser can be told why.
//!
//! The life of one: [`statements`] create it at a login, in the transaction that records the login; the actix-session
//! middleware loads it once a request from the [`store`]; [`current`] hands it to handlers; [`touch`] extends it;
//! [`statements`] give it a new key; [`ends`] end it; [`sweep`] clears up; [`news`] tells its open pages.
//!
//! Invariant: what has ended stays ended. Every statement that changes a session says so in its `WHERE`.

pub mod acting;
pub mod current;
pub mod data;
pub mod ends;
pub mod former;
pub mod health;
pub mod key;
pub mod key_maker;
pub mod listing;
pub mod log_out;
pub mod lookup;
pub mod request;
pub mod statements;
pub mod store;
mod stored;
pub mod sweep;
pub mod touch;

use std::time::Duration;

use diesel::{Queryable, Selectable};
use serde::Serialize;

pub use self::{
    acting::{Acting, Reach},
    current::{CurrentUser, Who},
    ends::Scope,
    key::SessionKey,
    key_maker::{KeyMaker, LoginForm, NewKey},
    statements::NewSession,
    store::Sessions,
};
use crate::{
    base::{
        db::{Instant, schema::sessions, words},
        error::EndedBecause,
        settings::Settings,
    },
    records::{
        audit,
        device::{Client, Shape},
    },
};

/// How long an ended session is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// What rules the lives of sessions.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// It ends this long after its last activity.
    pub idle: Duration,
    /// And this long after login, whatever its activity.
    pub absolute: Duration,
    /// Activity is written at most this often.
    pub touch_interval: Duration,
    /// Live sessions that an account may have, if there is a limit.
    pub most: Option<u32>,
}

impl From<&Settings> for Lifetimes {
    fn from(settings: &Settings) -> Self {
        Self {
            idle: settings.idle_ttl,
            absolute: settings.absolute_ttl,
            touch_interval: settings.touch_interval,
            most: settings.sessions_per_account,
        }
    }
}

words! {
    /// Why a session ended, as the row keeps it.
    pub enum EndReason {
        /// Time ran out.
        Expired = "expired",
        /// Somebody ended it from elsewhere.
        Revoked = "revoked",
        /// It was logged out.
        LoggedOut = "logged-out",
        /// Another person logged in over it.
        Replaced = "replaced",
        /// The account got a new password.
        PasswordChanged = "password-changed",
        /// The account was disabled.
        AccountDisabled = "account-disabled",
    }
}

impl EndReason {
    /// As the session's own browser is told.
    pub fn told(self) -> EndedBecause {
        match self {
            Self::Expired => EndedBecause::Expired,
            Self::LoggedOut => EndedBecause::LoggedOut,
            Self::Replaced => EndedBecause::Replaced,
            Self::Revoked | Self::PasswordChanged | Self::AccountDisabled => EndedBecause::Revoked,
        }
    }

    /// As the audit trail records it.
    pub fn event(self) -> audit::Kind {
        match self {
            Self::Expired => audit::Kind::SessionExpired,
            Self::LoggedOut => audit::Kind::Logout,
            Self::Replaced => audit::Kind::SessionReplaced,
            Self::Revoked | Self::PasswordChanged | Self::AccountDisabled => audit::Kind::SessionRevoked,
        }
    }
}

/// The typed columns of a session that lives.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = sessions)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Record {
    /// Names the session; opens nothing.
    pub id: String,
    /// Whose it is.
    pub account_id: String,
    /// On which device.
    pub device_id: Option<String>,
    /// When the login was.
    pub created_at: Instant,
    /// When the password was last given.
    pub authenticated_at: Instant,
    /// When it was last used.
    pub last_activity: Instant,
    /// When it ends if nobody uses it again.
    pub expires_at: Instant,
    /// When it ends whatever its activity.
    pub absolute_expires_at: Instant,
    /// From where it was last used.
    pub ip: Option<String>,
    browser: String,
    os: String,
    kind: Shape,
    installed: bool,
    /// Grows with each change of the state.
    pub version: i64,
}

impl Record {
    /// What its browser said of itself at login.
    pub fn client(&self) -> Client {
        Client { browser: self.browser.clone(), os: self.os.clone(), kind: self.kind, installed: self.installed }
    }
}

/// A session as the API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    id: String,
    device_id: Option<String>,
    device_name: Option<String>,
    created_at: Instant,
    last_activity: Instant,
    expires_at: Instant,
    absolute_expires_at: Instant,
    current: bool,
    ip: Option<String>,
    client: Client,
}

impl SessionView {
    /// The same for who uses another session, or none any more.
    pub fn of_another(self) -> Self {
        Self { current: false, ..self }
    }

    /// `current`: whether it is the session that asks.
    pub fn new(record: &Record, device_name: Option<&str>, current: bool) -> Self {
        Self {
            id: record.id.clone(),
            device_id: record.device_id.clone(),
            device_name: device_name.map(str::to_owned),
            created_at: record.created_at,
            last_activity: record.last_activity,
            expires_at: record.expires_at,
            absolute_expires_at: record.absolute_expires_at,
            current,
            ip: record.ip.clone(),
            client: record.client(),
        }
    }
}

//! The typed columns of a session, and the session as the API shows it.

use diesel::{Queryable, Selectable};
use serde::Serialize;

use crate::{
    base::db::{Instant, PairIn, pair_in, schema::sessions},
    records::device::{Client, Shape},
};

/// A session as its primary key names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Queryable)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct SessionRef {
    pub account_id: String,
    pub id: String,
}

impl SessionRef {
    pub fn new(account_id: &str, id: &str) -> Self {
        Self { account_id: account_id.to_owned(), id: id.to_owned() }
    }

    /// The condition that a row is that of one of these sessions.
    pub(super) fn one_of(sessions: &[Self]) -> PairIn<sessions::account_id, sessions::id> {
        let pairs = sessions.iter().map(|session| (session.account_id.as_str(), session.id.as_str()));
        pair_in((sessions::account_id, sessions::id), pairs)
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
    pub(super) installed: bool,
    /// Grows with each change of the state.
    pub version: i64,
}

impl From<Record> for SessionRef {
    fn from(record: Record) -> Self {
        Self { account_id: record.account_id, id: record.id }
    }
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

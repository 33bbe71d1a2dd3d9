//! The typed columns of a session, and the session as the API shows it.

use diesel::{Queryable, Selectable};
use serde::Serialize;

use super::amr::Amr;
use crate::{
    base::db::{Instant, PairIn, pair_in, schema::sessions},
    records::device::{Client, Shape},
};

/// The primary key of a session.
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

    /// SQL condition: the row belongs to one of these sessions.
    pub(super) fn one_of(sessions: &[Self]) -> PairIn<sessions::account_id, sessions::id> {
        let pairs = sessions.iter().map(|session| (session.account_id.as_str(), session.id.as_str()));
        pair_in((sessions::account_id, sessions::id), pairs)
    }
}

/// The typed columns of a session's row.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = sessions)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Record {
    /// Identifies the session. Grants no access.
    pub id: String,
    pub account_id: String,
    pub device_id: Option<String>,
    /// Time of the login.
    pub created_at: Instant,
    /// When the password was last entered.
    pub authenticated_at: Instant,
    pub last_activity: Instant,
    /// When the session expires if it is not used again.
    pub expires_at: Instant,
    /// When the session expires at the latest, whatever its activity.
    pub absolute_expires_at: Instant,
    /// Address of the latest use.
    pub ip: Option<String>,
    pub(super) browser: String,
    pub(super) os: String,
    pub(super) kind: Shape,
    pub(super) installed: bool,
    /// Incremented when the key, the state or the data changes.
    pub version: i64,
    /// The id with which the session began. `None` if an older version began it and it has opened no app yet.
    pub(super) sid: Option<String>,
    /// How the person proved who they are. `None`: with a password.
    pub(super) amr: Option<String>,
    /// When the person last gave a second factor in this session.
    pub second_factor_at: Option<Instant>,
}

impl From<Record> for SessionRef {
    fn from(record: Record) -> Self {
        Self { account_id: record.account_id, id: record.id }
    }
}

impl Record {
    /// The session's name for apps, which no rotation changes.
    pub fn sid(&self) -> &str {
        self.sid.as_deref().unwrap_or(&self.id)
    }

    /// How the person proved who they are.
    pub fn amr(&self) -> Amr {
        self.amr.as_deref().map_or_else(Amr::password, Amr::of_row)
    }

    /// The browser details recorded at login.
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
    amr: Amr,
    aal: u8,
}

impl SessionView {
    /// The same session for a viewer who uses another session or is signed out.
    pub fn of_another(self) -> Self {
        Self { current: false, ..self }
    }

    /// The session that makes the request.
    pub fn of_own(record: Record, device_name: Option<String>) -> Self {
        let amr = record.amr();
        let Record { browser, os, kind, installed, .. } = record;
        Self {
            id: record.id,
            device_id: record.device_id,
            device_name,
            created_at: record.created_at,
            last_activity: record.last_activity,
            expires_at: record.expires_at,
            absolute_expires_at: record.absolute_expires_at,
            current: true,
            ip: record.ip,
            client: Client { browser, os, kind, installed },
            aal: amr.aal(),
            amr,
        }
    }

    /// `current` is true for the session that makes the request.
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
            aal: record.amr().aal(),
            amr: record.amr(),
        }
    }
}

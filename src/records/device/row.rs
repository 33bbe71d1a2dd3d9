//! A device as its row has it.

use diesel::{Queryable, Selectable};

use super::{client::Client, shape::Shape};
use crate::base::db::{Instant, schema::devices};

/// A device, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = devices)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Device {
    /// Names the device; opens nothing.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it runs as an app on the home screen.
    pub installed: bool,
    /// When this browser first signed in to the account.
    pub first_seen: Instant,
    /// When it last did.
    pub last_seen: Instant,
    pub(super) browser: String,
    pub(super) os: String,
    pub(super) kind: Shape,
    /// Since when it is known to be the person's own.
    pub acknowledged_at: Option<Instant>,
    /// Since when it is forgotten, and only kept for what it means to the account's other devices.
    pub forgotten_at: Option<Instant>,
}

impl Device {
    /// What its browser said of itself at the last login.
    pub fn client(&self) -> Client {
        Client { browser: self.browser.clone(), os: self.os.clone(), kind: self.kind, installed: self.installed }
    }
}

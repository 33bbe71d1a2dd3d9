//! The row of a device. Used by everything that reads devices.
//!
//! Invariant: a [`Device`] does not contain its secret's hash.

use diesel::{Queryable, Selectable};

use super::{client::Client, shape::Shape};
use crate::base::db::{Instant, schema::devices};

/// A device of an account.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = devices)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Device {
    /// Not secret: it grants no access.
    pub id: String,
    /// The display name, generated or chosen.
    pub name: String,
    /// Whether the browser runs as an installed app.
    pub installed: bool,
    /// The browser's first sign-in to the account.
    pub first_seen: Instant,
    /// The browser's last sign-in to the account.
    pub last_seen: Instant,
    pub(super) browser: String,
    pub(super) os: String,
    pub(super) kind: Shape,
    /// When the device was acknowledged as the person's own.
    pub acknowledged_at: Option<Instant>,
    /// When the device was forgotten. Its row is kept only for [`arrivals`](super::arrivals).
    pub forgotten_at: Option<Instant>,
}

impl Device {
    /// The browser's description at the last login.
    pub fn client(&self) -> Client {
        Client { browser: self.browser.clone(), os: self.os.clone(), kind: self.kind, installed: self.installed }
    }
}

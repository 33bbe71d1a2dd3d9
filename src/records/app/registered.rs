//! A registered app.
//!
//! Invariant: the rules decide alone who may open an app; nobody is admitted by a role that the rules do not name.

use super::rule::Rule;
use crate::{
    base::{
        db::{Instant, words},
        secret::Secret,
    },
    records::account::Account,
};

words! {
    /// The identity headers that an app gets.
    pub enum Identity {
        /// The `X-Sessile` headers.
        Sessile = "sessile",
        /// Also the headers that begin with `Remote`.
        Remote = "remote",
    }
}

/// A registered app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub id: String,
    pub name: String,
    /// The origin at which browsers open it, as they send it in `Origin`.
    pub origin: String,
    /// The rules. A person who fits one of them may open the app.
    pub admits: Vec<Rule>,
    pub identity: Identity,
    /// Whether the gate refuses nobody and only counts whom it would refuse.
    pub observe: bool,
    /// Whether other origins may send unsafe requests and upgrades.
    pub allow_cross_site: bool,
    /// Whether CORS preflights pass without a sign-in.
    pub allow_preflight: bool,
    /// Whether only sessions with a second factor may open it.
    pub require_second_factor: bool,
    /// Paths that the proxy does not ask about. Only the printed configuration uses them.
    pub public_paths: Vec<String>,
    pub token_hash: Vec<u8>,
    pub secret_hash: Vec<u8>,
    pub created_at: Instant,
    pub disabled_at: Option<Instant>,
    /// When the gate last let a request pass. Written now and then.
    pub last_used_at: Option<Instant>,
    /// How many requests an app with `observe` would have refused. Written now and then.
    pub refused: i64,
}

impl App {
    pub fn is_enabled(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// The host of the origin, with its port unless that is the scheme's default.
    pub fn host(&self) -> &str {
        self.origin.split_once("://").map_or(self.origin.as_str(), |(_, host)| host)
    }

    /// Whether the account may open the app, apart from whether it is enabled.
    pub fn allows(&self, account: &Account) -> bool {
        self.admits.iter().any(|rule| rule.fits(account))
    }

    /// Whether this is the secret of the app's server, compared in constant time.
    pub fn has_secret(&self, secret: &Secret) -> bool {
        secret.matches(&self.secret_hash)
    }
}

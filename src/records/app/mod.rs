//! Protected apps: web apps behind a reverse proxy that asks Sessile about each request. An app has a gate token, which
//! names it and proves the proxy, and a secret for its server. Called by the gate, the pages for apps and the commands.
//! What opens an app for a session is a grant ([`session::grants`](crate::records::session::grants)).
//!
//! Invariant: the gate token and the secret are kept as hashes. Every change is announced in its transaction, so that no
//! node answers by the rules from before it.

mod registered;
mod registry;
mod rule;
pub mod statements;
mod usage;

pub use self::{
    registered::{App, Identity},
    registry::{Apps, Registry},
    rule::{Rule, checked_groups},
    usage::Usage,
};

//! Grants: each opens one protected app for one session, in the browser that holds its secret in the app's cookie. A
//! grant is worth what its session is. A one-time code takes the sign-in from Sessile's origin to the app's. Called by the
//! gate, by the pages on apps' hosts and by `actions::apps`.
//!
//! Invariant: a grant is found only together with its session, in one query or from memory under the rules of the
//! [`cache`](super::cache). So what ends the session ends it at every app.

pub mod codes;
pub mod feed;
pub mod key;
mod lookup;
pub mod statements;

pub use self::{
    key::{Code, GrantKey},
    lookup::Granted,
};

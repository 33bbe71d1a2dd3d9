//! Sessions, the heart of the product: from login to their end, and 30 days beyond so that the browser can be told why.
//!
//! The life of one: [`statements`] create it at a login, in the transaction that records the login; the actix-session
//! middleware loads it once a request from the [`store`]; [`current`] hands it to handlers; [`touch`] extends it;
//! [`statements`] give it a new key; [`ends`] end it; [`sweep`] clears up; [`news`](crate::records::news) tells its open pages.
//!
//! Invariant: what has ended stays ended. Every statement that changes a session says so in its `WHERE`.

pub mod acting;
pub mod arrivals;
mod confirmation;
pub mod current;
pub mod data;
pub mod device_sweep;
pub mod devices;
pub mod ended;
pub mod ends;
pub mod former;
pub mod health;
pub mod key;
pub mod key_maker;
mod key_owner;
mod lifetimes;
pub mod listing;
mod live;
pub mod log_out;
pub mod lookup;
mod record;
pub mod request;
mod service;
pub mod state;
pub mod statements;
pub mod store;
mod stored;
pub mod sweep;
pub mod touch;
mod who;

pub use self::{
    acting::{Acting, Reach},
    current::CurrentUser,
    ended::EndReason,
    ends::Scope,
    key::SessionKey,
    key_maker::{KeyMaker, LoginForm, NewKey},
    lifetimes::{Lifetimes, REMEMBERED},
    record::{Record, SessionRef, SessionView},
    service::Sessions,
    statements::NewSession,
    who::Who,
};

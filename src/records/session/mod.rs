//! Sessions, from login until 30 days after their end. The row of an ended session is kept that long so that its
//! browser can be given the reason.
//!
//! Life cycle: [`statements`] creates a session in the transaction that records the login. The actix-session middleware
//! loads it from the [`store`] once per request, and handlers receive it from [`current`]. [`touch`] extends it,
//! [`statements`] rotates its key, [`ends`] ends it, and [`sweep`] deletes it. [`news`](crate::records::news) notifies
//! its open pages.
//!
//! Invariant: an ended session is never revived. A statement that extends a session or changes its key checks in its
//! `WHERE` clause that the session has not ended.

pub mod acting;
pub mod amr;
pub mod arrivals;
pub mod cache;
mod confirmation;
pub mod counts;
pub mod current;
pub mod data;
pub mod device_sweep;
pub mod devices;
pub mod ended;
pub mod ends;
pub mod export;
pub mod former;
pub mod generation;
pub mod grants;
pub mod health;
pub mod key;
pub mod key_maker;
mod key_owner;
mod lifetimes;
pub mod listing;
mod live;
pub mod log_out;
pub mod lookup;
pub mod overview;
mod packed;
pub mod people;
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
    amr::Amr,
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

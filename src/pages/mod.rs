//! Every page and API address, a folder or file each: handlers, and the Askama structs beside them.
//!
//! A handler whose argument is [`CurrentUser`](crate::records::session::CurrentUser) fails without a login, and any handler
//! fails when the database is away; their docs mention only other errors.
//!
//! Invariant: pages never import pages, and never open a transaction of their own.

pub mod account;
pub mod activity;
pub mod dashboard;
pub mod devices;
pub mod drafts;
pub mod events;
pub mod login;
pub mod ops;
pub mod pwa;
pub mod session_data;
pub mod sync;

//! The rows and the statements on them.
//!
//! Invariant: a record imports only the records before it, in this order: news, audit, device, throttle, account, session,
//! draft, then the others.

pub mod account;
pub mod audit;
pub mod device;
pub mod draft;
pub mod hub;
pub mod instance;
pub mod news;
pub mod session;
pub mod throttle;

//! The rows and the statements on them.
//!
//! Invariant: a record imports only the records before it, in this order: news, audit, device, throttle, account, session,
//! draft, app, link, then the others.

pub mod account;
pub mod app;
pub mod audit;
pub mod device;
pub mod draft;
pub mod help;
pub mod hub;
pub mod instance;
pub mod link;
pub mod news;
pub mod session;
pub mod throttle;

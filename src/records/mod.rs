//! The rows and the statements on them.
//!
//! Invariant: a record imports only the records before it, in this order: news, audit, device, throttle, account, link,
//! mail, session, second_factor, passkey, draft, app, then the others.

pub mod account;
pub mod app;
pub mod audit;
pub mod device;
pub mod draft;
pub mod hand_over;
pub mod help;
pub mod hub;
pub mod instance;
pub mod link;
pub mod mail;
pub mod news;
pub mod passkey;
pub mod second_factor;
pub mod session;
pub mod throttle;

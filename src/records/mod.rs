//! The rows and the statements on them. The order of the modules below is the order in which they may import each other.
//!
//! Invariant: a record imports only the records before it.

pub mod account;
pub mod audit;
pub mod device;
pub mod draft;
pub mod hub;
pub mod instance;
pub mod news;
pub mod session;
pub mod throttle;

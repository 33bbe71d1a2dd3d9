//! A browser that was here before. It keeps a secret for each account in a cookie, a new one from every sign-in, so
//! that the same browser is the same device next time, and a copy of the cookie is worth nothing after the next
//! sign-in.
//!
//! [`recognize`] is called by the sign-in; [`known`] holds what the owner does with a device, [`arrivals`] what the
//! account's other devices are told of a new one. What the sessions of a device tell of it is in
//! [`session`](crate::records::session), which also sweeps devices.
//!
//! Invariant: a device belongs to one browser and one account, and no two devices share a secret; a secret opens
//! nothing; one that nobody knows here is never adopted.

pub mod arrivals;
mod browser;
pub mod client;
pub mod known;
pub mod owners;
mod recognition;
mod row;
mod secrets;
mod shape;

pub use self::{
    browser::{Browser, browser, browser_with_id, doubt_all, find, prove},
    client::{Client, Hints, Unread},
    known::check_name,
    recognition::{Recognized, Says, SignIn, recognize},
    row::Device,
    secrets::DeviceSecrets,
    shape::Shape,
};

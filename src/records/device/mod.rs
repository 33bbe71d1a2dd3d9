//! Devices: browsers that have signed in to an account. A browser keeps a secret for each of its accounts in a cookie
//! and gets a new secret at each sign-in. So the same browser is the same device the next time, and a copied cookie is
//! useless after the next sign-in.
//!
//! The sign-in calls [`recognize`]. [`known`] renames and forgets devices, and [`arrivals`] shows new devices to the
//! account's other devices. [`session`](crate::records::session) reads the activity of a device from its sessions and
//! sweeps devices.
//!
//! Invariant: a device belongs to one browser and one account, and no two devices share a secret. A secret grants no
//! access, and an unknown secret is never adopted.

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
    known::{check_name, has_others},
    recognition::{Recognized, Reported, SignIn, recognize},
    row::Device,
    secrets::DeviceSecrets,
    shape::Shape,
};

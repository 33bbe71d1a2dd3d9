//! Sessile's addresses on the host of an app, which the app's proxy passes on: signing in and out there. Called by the
//! routes.
//!
//! Invariant: the app is that of the origin which a trusted proxy reports. On Sessile's own origin there is no such page.

mod arrival;
pub mod done;
pub mod echo;
pub mod sign_out;
pub mod start;

/// After so many rounds without the app's cookie, another would not help.
const MOST_ROUNDS: u8 = 2;

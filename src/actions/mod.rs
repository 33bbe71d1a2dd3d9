//! The product's operations. Each function here owns its transactions and states the order in which they lock rows.
//! Pages, the API and commands call the same functions. The lock order of the whole program is in the [crate's
//! docs](crate).
//!
//! When a signed-in person acts, the transaction first checks that their session is still live
//! ([`Acting::hold`](crate::records::session::Acting::hold)). `None` then means that the session has ended.
//!
//! Invariant: nothing here depends on HTTP.

pub mod apps;
pub mod confirm;
pub mod devices;
pub mod end_sessions;
pub mod links;
pub mod new_password;
pub mod new_session;
pub mod passkeys;
pub mod password;
pub mod password_proof;
pub mod people;
pub mod person;
pub mod profile;
pub mod restored;
pub mod revoke;
pub mod second_factor;
pub mod session_data;
pub mod settle_future;
pub mod setup;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
pub mod sync;

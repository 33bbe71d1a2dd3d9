//! Passkeys (WebAuthn Level 3): what a browser is asked, and whether its answer is right. Called by `actions::passkeys`,
//! which stores the passkeys, and by `doctor`. The checks themselves are those of webauthn-rs.
//!
//! A ceremony is a question and its answer. Between them the caller keeps its state: sealed, bound to the browser, and
//! accepted once.
//!
//! Invariant: nothing in an answer says whose passkey it is. The caller looks the passkey up by its credential id, and
//! the account is the one it was stored for.

mod answer;
mod ceremonies;
mod handle;
mod names;
mod pending;
mod refused;
mod register;
mod stored;
#[cfg(test)]
mod test_authenticator;
#[cfg(test)]
mod tests;
mod use_passkey;
#[cfg(test)]
mod vectors;

pub use self::{
    answer::credential_id_of,
    ceremonies::{Ceremonies, NoPasskeys, Started},
    handle::UserHandle,
    pending::LIFETIME,
    refused::Refused,
    register::{NewPasskey, Person},
    stored::StoredPasskey,
    use_passkey::{Outcome, Used},
};

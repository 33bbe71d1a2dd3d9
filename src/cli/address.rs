//! Parses e-mail addresses from the command line. Called by the `user` and `session` commands.
//!
//! Invariant: every error names the address.

use crate::{
    base::error::{Error, Result},
    records::account::EmailAddress,
};

/// Parses the address of an existing account.
pub fn address(typed: &str) -> Result<EmailAddress> {
    EmailAddress::known(typed).map_err(|error| not_an_address(typed, &error))
}

/// Parses the address of a new account.
pub fn new_address(typed: &str) -> Result<EmailAddress> {
    EmailAddress::parse(typed).map_err(|error| not_an_address(typed, &error))
}

fn not_an_address(typed: &str, error: &Error) -> Error {
    Error::Invalid(format!("--email: {typed:?} is not an e-mail address: {error}"))
}

/// The error for an address without an account.
pub fn unknown(address: &EmailAddress) -> Error {
    let address = address.as_str();
    Error::Invalid(format!(
        "there is no account with the e-mail address {address}: `sessile user list` lists all accounts"
    ))
}

//! E-mail addresses on the command line.

use crate::{
    base::error::{Error, Result},
    records::account::EmailAddress,
};

/// The e-mail address of an account, from the command line.
pub fn address(typed: &str) -> Result<EmailAddress> {
    EmailAddress::known(typed).map_err(|error| not_an_address(typed, &error))
}

/// The e-mail address of an account to be created, from the command line.
pub fn new_address(typed: &str) -> Result<EmailAddress> {
    EmailAddress::parse(typed).map_err(|error| not_an_address(typed, &error))
}

fn not_an_address(typed: &str, error: &Error) -> Error {
    Error::Invalid(format!("--email: {typed:?} is not an e-mail address: {error}"))
}

/// No account has this address.
pub fn unknown(address: &EmailAddress) -> Error {
    let address = address.as_str();
    Error::Invalid(format!(
        "there is no account with the e-mail address {address}: `sessile user list` names those there are"
    ))
}

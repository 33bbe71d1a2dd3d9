//! Output of commands: lines on stdout, and the text of an error. Called by all commands except `serve`.
//!
//! Invariant: a closed pipe is not an error.

use std::io::{ErrorKind, Write as _, stdout};

use crate::base::error::{Away, Error, Result};

/// The text of an error with its remedy, in one line.
pub fn in_words(error: &Error) -> String {
    match error {
        Error::Unavailable(fault) if fault.what == Away::Refused => {
            format!("the database refused this program (DATABASE_URL): {}", fault.cause)
        }
        Error::Unavailable(fault) => format!("the database is unavailable (DATABASE_URL): {}", fault.cause),
        Error::Internal(cause) => format!("internal error, please report it: {cause:#}"),
        other => other.to_string(),
    }
}

/// Prints a line on stdout; see [`print`].
pub fn say(line: &str) -> Result<()> {
    print(format!("{line}\n").as_bytes())
}

/// Prints on stdout. A closed pipe (`… | head -1`) is not an error: the command continues its work.
pub fn print(text: &[u8]) -> Result<()> {
    match stdout().write_all(text).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Invalid(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

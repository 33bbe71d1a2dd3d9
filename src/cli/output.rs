//! What commands print: lines on stdout, and an error in words.

use std::io::{ErrorKind, Write as _, stdout};

use crate::base::error::{Away, Error, Result};

/// What went wrong and what to do, in one line.
pub fn in_words(error: &Error) -> String {
    match error {
        Error::Unavailable(fault) if fault.what == Away::Refused => {
            format!("the database refuses this (DATABASE_URL): {}", fault.cause)
        }
        Error::Unavailable(fault) => format!("the database is away, see DATABASE_URL: {}", fault.cause),
        Error::Internal(cause) => format!("this should not happen, please report it: {cause:#}"),
        other => other.to_string(),
    }
}

/// A line of a command on stdout; see [`print`].
pub fn say(line: &str) -> Result<()> {
    print(format!("{line}\n").as_bytes())
}

/// What a command prints on stdout. Whoever has closed the pipe wants no more of it (`… | head -1`): that is no failure, and
/// what the command does goes on.
pub fn print(text: &[u8]) -> Result<()> {
    match stdout().write_all(text).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Invalid(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

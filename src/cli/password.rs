//! A password that a command is given: from stdin, or typed twice at a terminal. Called by `user`.
//!
//! Invariant: a terminal shows what is typed again, however this ends.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _, stderr, stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::base::error::{Error, Result};

/// Far more than a password may have; the rest is not read.
const LONGEST: u64 = 64 * 1024;
/// The exit code of a command that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// Whether one can be had: `--password-stdin` was given, or somebody is there to be asked.
pub fn is_available(password_stdin: bool) -> bool {
    password_stdin || stdin().is_terminal()
}

/// Reads or asks for a password.
///
/// # Errors
/// When it cannot be read, or nobody can have meant it as it came.
pub async fn obtain(password_stdin: bool) -> Result<String> {
    if password_stdin { from_stdin() } else { ask_twice().await }
}

/// All of stdin less one final newline.
fn from_stdin() -> Result<String> {
    let mut bytes = Vec::new();
    let read = stdin().lock().take(LONGEST).read_to_end(&mut bytes);
    read.map_err(|error| Error::Invalid(format!("the password could not be read from stdin: {error}")))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    refuse_windows(&bytes)?;
    let password = String::from_utf8(bytes).map_err(|_| {
        Error::Invalid("the password on stdin is not UTF-8: convert it, or type it at a terminal".into())
    })?;
    if password.contains('\0') {
        return Err(Error::Invalid(
            "the password on stdin has a NUL in it, as UTF-16 does, and nobody can type that: write it in UTF-8".into(),
        ));
    }
    Ok(password)
}

/// What Windows programs add to a text, and no keyboard types: the person could never sign in.
fn refuse_windows(bytes: &[u8]) -> Result<()> {
    if bytes.ends_with(b"\r") {
        return Err(Error::Invalid(
            "the password on stdin ends in a carriage return (a line of Windows ends so): remove it, for example with \
             `tr -d '\\r'`"
                .into(),
        ));
    }
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    if marks.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(Error::Invalid(
            "the password on stdin begins with a byte order mark (Windows programs write one): save it as UTF-8 without one"
                .into(),
        ));
    }
    Ok(())
}

/// Asks at the terminal, twice, without echo.
async fn ask_twice() -> Result<String> {
    let hidden =
        Hidden::start().map_err(|error| Error::Invalid(format!("the terminal cannot hide a password: {error}")))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| Error::Internal(error.into()))?;
    let asked = tokio::task::spawn_blocking(|| {
        let first = ask("New password: ")?;
        let again = ask("The same again: ")?;
        Ok((first, again))
    });
    let (first, again) = tokio::select! {
        typed = asked => typed.map_err(Error::bug)?.map_err(|error: std::io::Error| {
            Error::Invalid(format!("the password could not be read from the terminal: {error}"))
        })?,
        _ = interrupted.recv() => {
            drop(hidden);
            let _ = writeln!(stderr());
            // The thread that waits for a line cannot be stopped otherwise.
            std::process::exit(INTERRUPTED);
        }
    };
    if first == again {
        Ok(first)
    } else {
        Err(Error::Invalid("the two passwords differ: run the command again".into()))
    }
}

fn ask(prompt: &str) -> std::io::Result<String> {
    let mut terminal = stderr();
    write!(terminal, "{prompt}")?;
    terminal.flush()?;
    let mut line = String::new();
    let read = stdin().lock().take(LONGEST).read_line(&mut line)?;
    writeln!(terminal)?;
    if read == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    if line.ends_with('\n') {
        line.pop();
    }
    Ok(line)
}

/// The terminal without echo, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn start() -> std::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing anyway.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

//! Reads a new password for a command: from stdin, or typed twice at a terminal. Called by `user`.
//!
//! Invariant: the echo of the terminal is restored in every case, including Ctrl-C.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _, stderr, stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::base::error::{Error, Result};

/// The most bytes that are read, far more than a password may have.
const LONGEST: u64 = 64 * 1024;
/// The exit code after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Whether a password can be read: `--password-stdin` was given, or stdin is a terminal.
pub fn is_available(password_stdin: bool) -> bool {
    password_stdin || stdin().is_terminal()
}

/// Reads a password from stdin, or asks for it at the terminal.
///
/// # Errors
/// When the password cannot be read, or contains bytes that cannot be intended.
pub async fn obtain(password_stdin: bool) -> Result<String> {
    if password_stdin { from_stdin() } else { ask_twice().await }
}

/// Reads all of stdin, without one final newline.
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
            "the password on stdin contains a NUL, which nobody can type: write it in UTF-8, not UTF-16".into(),
        ));
    }
    Ok(password)
}

/// Refuses bytes that Windows programs add to a text. No keyboard types them, so the person could never sign in.
fn refuse_windows(bytes: &[u8]) -> Result<()> {
    if bytes.ends_with(b"\r") {
        return Err(Error::Invalid(
            "the password on stdin ends in a carriage return (Windows line endings contain one): remove it, for example with \
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

/// Asks twice at the terminal, without echo.
async fn ask_twice() -> Result<String> {
    let hidden = Hidden::start()
        .map_err(|error| Error::Invalid(format!("turning off the echo of the terminal failed: {error}")))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| Error::Internal(error.into()))?;
    let asked = tokio::task::spawn_blocking(|| {
        let first = ask("New password: ")?;
        let again = ask("Repeat the password: ")?;
        Ok((first, again))
    });
    let (first, again) = tokio::select! {
        typed = asked => typed.map_err(Error::bug)?.map_err(|error: std::io::Error| {
            Error::Invalid(format!("the password could not be read from the terminal: {error}"))
        })?,
        _ = interrupted.recv() => {
            drop(hidden);
            let _ = writeln!(stderr());
            // Exit here, because the thread that is reading a line cannot be stopped in any other way.
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
        // Ignore errors: a terminal that is gone shows nothing.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

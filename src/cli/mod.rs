//! The commands, one a file. `main` calls [`run`].
//!
//! Invariant: what a command changes is committed, with its audit rows, when it returns.

mod connection;
mod doctor;
mod listener;
mod log;
mod prune;
mod restored;
pub mod serve;
mod session;
mod stopping;
mod subscribers;
mod tls;
mod user;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    account::EmailAddress,
    clock::Clock,
    db::Db,
    error::{Error, Result},
    instance,
    key_file::Keys,
    output::{self, FlushAtEnd},
    session::{Lifetimes, Sessions},
    settings::{self, Settings, SettingsArgs},
};

/// Keeps people signed in, safely.
#[derive(Parser)]
#[command(name = "sessile", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT (this is also what no command does)
    Serve(Box<SettingsArgs>),
    /// Brings the schema up to date and exits
    Migrate,
    /// Checks settings, key file, database, schema, clock and proxy trust, and changes nothing
    Doctor,
    /// Looks after accounts
    #[command(subcommand)]
    User(user::Command),
    /// Looks after sessions
    #[command(subcommand)]
    Session(session::Command),
    /// Writes a list of all accounts
    #[command(subcommand)]
    Subscribers(subscribers::Command),
    /// Ends what has expired and deletes what ended over 30 days ago
    Prune,
    /// Run after a backup was restored, before the start: ends all sessions, and lets clients begin anew
    Restored(restored::Args),
}

/// Runs the command of the command line.
pub fn run() -> ExitCode {
    let _flush = FlushAtEnd;
    let command = Cli::parse().command.unwrap_or_else(|| Command::Serve(Box::default()));
    let args = match &command {
        Command::Serve(args) => (**args).clone(),
        _ => SettingsArgs::default(),
    };
    let done = match (checked(args), &command) {
        (Err(words), Command::Doctor) => doctor::tell(&[("settings", Err(words))]).map_err(|error| in_words(&error)),
        (settings, _) => settings.and_then(|settings| carry_out(command, settings)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            output::stderr().send_last(format!("sessile: {}\n", words.replace('\n', " ")).into_bytes());
            ExitCode::FAILURE
        }
    }
}

fn checked(args: SettingsArgs) -> Result<Settings, String> {
    args.check(settings::environment()).map_err(|error| error.to_string())
}

fn carry_out(command: Command, settings: Settings) -> Result<(), String> {
    log::start(&settings)?;
    actix_web::rt::System::new()
        .block_on(async move {
            match command {
                Command::Serve(_) => serve::run(settings).await,
                Command::Doctor => doctor::run(settings).await,
                Command::Migrate => open(&settings).await.map(drop),
                Command::User(command) => user::run(command, &settings).await,
                Command::Session(command) => session::run(command, &settings).await,
                Command::Subscribers(command) => subscribers::run(command, &settings).await,
                Command::Prune => prune::run(&settings).await,
                Command::Restored(args) => restored::run(&args, &settings).await,
            }
        })
        .map_err(|error| in_words(&error))
}

/// What went wrong and what to do, in one line.
fn in_words(error: &Error) -> String {
    match error {
        Error::Unavailable(fault) => format!("the database is away, see DATABASE_URL: {}", fault.cause),
        Error::Internal(cause) => format!("this should not happen, please report it: {cause:#}"),
        other => other.to_string(),
    }
}

/// The database with its schema up to date.
async fn open(settings: &Settings) -> Result<Db> {
    let db = Db::open(settings)?;
    db.migrate().await?;
    Ok(db)
}

/// The same for a command that records events: with the keys that seal them, which must be those of the nodes. The key
/// file is made if it is missing and nothing needs an older one.
async fn open_to_record(settings: &Settings) -> Result<Db> {
    let db = open(settings).await?;
    if !settings.key_file.exists() {
        instance::check_keys_of_command(&db, None).await?;
    }
    let keys = Keys::read_or_make(&settings.key_file)?;
    let checked = instance::check_keys_of_command(&db, Some(&keys)).await;
    if matches!(checked, Err(Error::Conflict(_))) {
        keys.take_back(&settings.key_file);
    }
    checked?;
    db.use_trail_keys(keys.trail());
    Ok(db)
}

/// The same whatever keys there are: for the way out when the right ones are lost.
async fn open_with_any_keys(settings: &Settings) -> Result<Db> {
    let db = open(settings).await?;
    db.use_trail_keys(Keys::read_or_make(&settings.key_file)?.trail());
    Ok(db)
}

/// The sessions in an open database.
fn sessions(settings: &Settings, db: Db) -> Sessions {
    Sessions {
        db,
        clock: Clock::default(),
        times: Lifetimes::from(settings),
        touches: crate::session::touch::TouchQueue::default(),
    }
}

/// An e-mail address of the command line.
fn address(typed: &str) -> Result<EmailAddress> {
    EmailAddress::parse(typed).map_err(|_| {
        Error::Invalid(format!(
            "--email: {typed:?} is not an e-mail address: write a whole one, such as kim@example.com"
        ))
    })
}

fn unknown(address: &EmailAddress) -> Error {
    let address = address.as_str();
    Error::Invalid(format!(
        "there is no account with the e-mail address {address}: `sessile user list` names those there are"
    ))
}

/// A line of a command on stdout. Whoever has closed the pipe wants no more lines (`… | head -1`): that is no failure,
/// and what the command does goes on.
fn say(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Invalid(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// A password from stdin: all of it less one final newline.
fn password_from_stdin() -> Result<String> {
    let mut password = std::io::read_to_string(std::io::stdin())
        .map_err(|error| Error::Invalid(format!("the password could not be read from stdin: {error}")))?;
    if password.ends_with('\n') {
        password.pop();
    }
    Ok(password)
}

//! The commands, one a file. `main` calls [`run`].
//!
//! Invariant: what a command changes is committed, with its audit rows, when it returns.

mod doctor;
mod password;
mod prune;
mod restored;
mod session;
mod subscribers;
mod user;

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, setrlimit},
};

use crate::serve;
use crate::{
    base::{
        db::{Db, Schema, inspect::Inspection},
        error::{Away, Error, Result},
        keys::Keys,
        output::{self, FlushAtEnd},
        settings::{self, PlaceArgs, Settings, SettingsArgs},
    },
    records::{account::EmailAddress, instance},
};

/// Keeps people signed in, safely.
#[derive(Parser)]
#[command(name = "sessile", version, about, long_about = None)]
struct Cli {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT (the default)
    Serve(Box<SettingsArgs>),
    /// Brings the schema up to date and exits
    Migrate,
    /// Checks settings, key file, database, schema, clock and proxy trust, and changes nothing
    Doctor(doctor::Args),
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
    keep_private();
    let Cli { place, command } = Cli::parse();
    let command = command.unwrap_or_else(|| Command::Serve(Box::default()));
    if let Command::User(command) = &command
        && !command.can_have_its_password()
    {
        let words = "--password-stdin is missing: give the password on stdin with it, or run the command at a terminal";
        Cli::command().error(clap::error::ErrorKind::MissingRequiredArgument, words).exit();
    }
    let args = match &command {
        Command::Serve(args) => (**args).clone(),
        _ => SettingsArgs::default(),
    };
    let done = match (checked(args.at(place)), &command) {
        (Err(words), Command::Doctor(_)) => doctor::tell(&[("settings", Err(words))]).map_err(|error| in_words(&error)),
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

/// Files that this process makes are for its owner alone, and a crash writes no memory to the disk.
fn keep_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // Fails only where it is 0 already and may not be set.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

fn checked(args: SettingsArgs) -> Result<Settings, String> {
    args.check(settings::environment()).map_err(|error| error.to_string())
}

fn carry_out(command: Command, settings: Settings) -> Result<(), String> {
    serve::log::start(&settings)?;
    actix_web::rt::System::new()
        .block_on(async move {
            match command {
                Command::Serve(_) => serve::run::run(settings).await,
                Command::Doctor(args) => doctor::run(args, settings).await,
                Command::Migrate => make(&settings).await.map(drop),
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
        Error::Unavailable(fault) if fault.what == Away::Refused => {
            format!("the database refuses this (DATABASE_URL): {}", fault.cause)
        }
        Error::Unavailable(fault) => format!("the database is away, see DATABASE_URL: {}", fault.cause),
        Error::Internal(cause) => format!("this should not happen, please report it: {cause:#}"),
        other => other.to_string(),
    }
}

/// The database with its schema up to date. It is there already, else the command would say nothing of what the server has.
async fn open(settings: &Settings) -> Result<Db> {
    let place = &settings.database;
    let found = match Inspection::open(settings).await? {
        Some(mut database) => {
            let found = database.schema().await?;
            database.refuse_foreign(&found, settings).await?;
            found
        }
        None => {
            return Err(Error::Invalid(format!(
                "there is no database at {place} (DATABASE_URL): run this where Sessile runs, or name its database with \
                 --database-url"
            )));
        }
    };
    if found == Schema::Missing {
        return Err(Error::Invalid(format!(
            "the database {place} (DATABASE_URL) has no tables of Sessile: name the right one with --database-url, or \
             make them with `sessile migrate`"
        )));
    }
    let db = Db::open_existing(settings)?;
    db.migrate().await?;
    Ok(db)
}

/// The same for a command that makes the database if it is missing.
async fn make(settings: &Settings) -> Result<Db> {
    tell_place(settings);
    Inspection::check_servers(settings).await?;
    let db = Db::open(settings)?;
    db.migrate().await?;
    Ok(db)
}

/// The same for a command that records events: with the keys that seal them, which must be those of the nodes.
async fn open_to_record(settings: &Settings) -> Result<Db> {
    let db = open_with_any_keys(settings).await?;
    let keys = keys(settings)?;
    instance::check_keys_of_command(&db, Some(&keys)).await?;
    Ok(db)
}

/// The same whatever keys there are: for the way out when the right ones are lost.
async fn open_with_any_keys(settings: &Settings) -> Result<Db> {
    tell_place(settings);
    let db = open(settings).await?;
    db.use_trail_keys(keys(settings)?.trail());
    Ok(db)
}

/// The same for a command that may come before the first start: database and key file are made if they are missing and
/// nothing needs an older one.
async fn make_to_record(settings: &Settings) -> Result<Db> {
    let db = make(settings).await?;
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

/// The keys of a file that is there already.
fn keys(settings: &Settings) -> Result<Keys> {
    Keys::read(&settings.key_file)?.ok_or_else(|| {
        let path = std::path::absolute(&settings.key_file).unwrap_or_else(|_| settings.key_file.clone());
        Error::Invalid(format!(
            "there is no key file at {path} (SESSILE_KEY_FILE): name the server's own with --key-file, or restore it from \
             your backup; if it is lost for good, make another with `(umask 077; head -c 64 /dev/urandom | base64 -w0 > \
             {path})`",
            path = path.display()
        ))
    })
}

/// Tells whoever types a command that changes something where it does so.
fn tell_place(settings: &Settings) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Nothing is left to be done about a stderr that is closed.
        let _ = writeln!(stderr, "sessile: the database is {}", settings.database);
    }
}

/// The e-mail address of an account, from the command line.
fn address(typed: &str) -> Result<EmailAddress> {
    EmailAddress::known(typed).map_err(|error| not_an_address(typed, &error))
}

/// The e-mail address of an account to be created, from the command line.
fn new_address(typed: &str) -> Result<EmailAddress> {
    EmailAddress::parse(typed).map_err(|error| not_an_address(typed, &error))
}

fn not_an_address(typed: &str, error: &Error) -> Error {
    Error::Invalid(format!("--email: {typed:?} is not an e-mail address: {error}"))
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

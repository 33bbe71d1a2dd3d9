//! The commands. Most have a file of their own; `serve` and `migrate` only call [`serve::run`] and `open`. `main` calls
//! [`run`].
//!
//! Invariant: when a command returns, its changes are committed together with their audit events.

mod address;
mod app;
mod completions;
mod distribute;
mod doctor;
mod links;
mod manual;
mod open;
mod openapi;
mod output;
mod password;
mod person;
mod progress;
mod prune;
mod restored;
mod session;
mod subscribers;
mod user;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, setrlimit},
};

use self::output::in_words;
use crate::{
    base::{
        output::{FlushAtEnd, stderr},
        settings::{self, PlaceArgs, Settings, SettingsArgs},
    },
    serve,
};

/// Keeps people signed in, safely.
#[derive(Parser)]
#[command(name = "sessile", version, about, long_about = None)]
struct Cli {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(subcommand)]
    command: Option<AnyCommand>,
}

#[derive(Subcommand)]
enum AnyCommand {
    #[command(flatten)]
    WithSettings(Command),
    /// Prints the completions of a shell
    Completions(completions::Args),
    /// Prints the manual page
    Man(manual::Args),
    /// Prints the OpenAPI document of the API
    Openapi,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT (the default)
    Serve(Box<SettingsArgs>),
    /// Brings the schema up to date and exits
    Migrate,
    /// Distributes the tables over the workers of a Citus cluster, by account
    Distribute(distribute::Args),
    /// Checks the installation and changes nothing
    Doctor(doctor::Args),
    /// Manages accounts
    #[command(subcommand)]
    User(user::Command),
    /// Manages sessions
    #[command(subcommand)]
    Session(session::Command),
    /// Manages protected apps
    #[command(subcommand)]
    App(app::Command),
    /// Exports all accounts
    #[command(subcommand)]
    Subscribers(subscribers::Command),
    /// Runs every clean-up once: sessions, counts, drafts, devices, addresses, audit events
    Prune,
    /// Run after restoring a backup, before the server starts: ends all sessions and makes clients start over
    Restored(restored::Args),
}

/// Parses the command line and runs the command.
pub fn run() -> ExitCode {
    let _flush = FlushAtEnd;
    protect_secrets();
    let Cli { place, command } = Cli::parse();
    let command = command.unwrap_or_else(|| AnyCommand::WithSettings(Command::Serve(Box::default())));
    let done = match command {
        AnyCommand::WithSettings(command) => with_settings(command, place),
        AnyCommand::Completions(args) => completions::run(&args, Cli::command()).map_err(|error| in_words(&error)),
        AnyCommand::Man(args) => manual::run(&args, Cli::command()).map_err(|error| in_words(&error)),
        AnyCommand::Openapi => openapi::run().map_err(|error| in_words(&error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            stderr().send_last(format!("sessile: {}\n", words.replace('\n', " ")).into_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Runs a command that needs the settings.
fn with_settings(command: Command, place: PlaceArgs) -> Result<(), String> {
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
    match (checked(args.at(place)), &command) {
        (Err(words), Command::Doctor(_)) => doctor::tell(&[("settings", Err(words))]).map_err(|error| in_words(&error)),
        (settings, _) => settings.and_then(|settings| execute(command, settings)),
    }
}

/// Makes new files private to their owner, and disables core dumps, because memory holds secrets.
fn protect_secrets() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // Fails only if the limit is 0 already and cannot be changed.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

fn checked(args: SettingsArgs) -> Result<Settings, String> {
    args.check(settings::environment()).map_err(|error| error.to_string())
}

fn execute(command: Command, settings: Settings) -> Result<(), String> {
    serve::log::start(&settings)?;
    actix_web::rt::System::new()
        .block_on(async move {
            match command {
                Command::Serve(_) => serve::run::run(settings).await,
                Command::Doctor(args) => doctor::run(args, settings).await,
                Command::Distribute(args) => distribute::run(&args, &settings).await,
                Command::Migrate => open::migrate(&settings).await,
                Command::User(command) => user::run(command, &settings).await,
                Command::Session(command) => session::run(command, &settings).await,
                Command::App(command) => app::run(command, &settings).await,
                Command::Subscribers(command) => subscribers::run(command, &settings).await,
                Command::Prune => prune::run(&settings).await,
                Command::Restored(args) => restored::run(&args, &settings).await,
            }
        })
        .map_err(|error| in_words(&error))
}

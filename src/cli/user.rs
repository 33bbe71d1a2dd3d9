//! `sessile user …`: creates, lists and changes accounts. Called by [`run`](super::run).
//!
//! Invariant: a password never appears on the command line.

use super::{
    address::{address, new_address, unknown},
    links,
    open::{make_to_record, open_to_read, open_to_record, open_with_letters},
    output::say,
    password, person,
};
use crate::{
    actions::{people, person::change::Changes},
    base::{
        db::Conn,
        error::{Error, Result},
        settings::Settings,
    },
    records::account::{
        self, Role,
        hasher::{ChosenPassword, Hasher, Source},
        in_order,
        strength::Lengths,
    },
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Creates an account and prints its id
    Add {
        /// E-mail address of the account
        #[arg(long)]
        email: String,
        /// Display name of the person
        #[arg(long, default_value = "")]
        name: String,
        /// Role of the account
        #[arg(long, default_value = "member", value_parser = ["owner", "admin", "member"])]
        role: String,
        /// Reads the password from stdin; without this flag, asks for it at the terminal
        #[arg(long)]
        password_stdin: bool,
    },
    /// Lists all accounts
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Person(person::Command),
    /// Prevents an account from signing in and ends its sessions
    Disable {
        /// E-mail address of the account
        email: String,
    },
    /// Allows an account to sign in again
    Enable {
        /// E-mail address of the account
        email: String,
    },
    /// Invites a person and prints a one-time link with which they choose a password
    Invite {
        /// E-mail address of the person
        #[arg(long)]
        email: String,
        /// Display name of the person
        #[arg(long)]
        name: Option<String>,
        /// Role of the account
        #[arg(long, value_parser = ["owner", "admin", "member"])]
        role: Option<String>,
        /// A group of the person; can be given several times
        #[arg(long = "group")]
        groups: Vec<String>,
        /// How long the link works
        #[arg(long, default_value = "24h")]
        ttl: String,
    },
    /// Prints a one-time link with which a person chooses a new password
    PasswordLink {
        /// E-mail address of the account
        email: String,
        /// How long the link works
        #[arg(long, default_value = "1h")]
        ttl: String,
    },
    /// Gives an account a new password and ends its sessions
    SetPassword {
        /// E-mail address of the account
        email: String,
        /// Reads the password from stdin; without this flag, asks for it at the terminal
        #[arg(long)]
        password_stdin: bool,
    },
}

impl Command {
    /// Whether the command needs no password, or can read one.
    pub fn can_have_its_password(&self) -> bool {
        match self {
            Self::Add { password_stdin, .. } | Self::SetPassword { password_stdin, .. } => {
                password::is_available(*password_stdin)
            }
            Self::List { .. }
            | Self::Person(_)
            | Self::Disable { .. }
            | Self::Enable { .. }
            | Self::Invite { .. }
            | Self::PasswordLink { .. } => true,
        }
    }
}

pub async fn run(command: Command, settings: &Settings) -> Result<()> {
    match command {
        Command::Add { email, name, role, password_stdin } => {
            add(settings, &email, (&name, &role), password_stdin).await
        }
        Command::List { json: true } => person::list_json(settings).await,
        Command::List { json: false } => list(settings).await,
        Command::Person(command) => person::run(command, settings).await,
        Command::Disable { email } => disable(settings, &email).await,
        Command::Enable { email } => enable(settings, &email).await,
        Command::Invite { email, name, role, groups, ttl } => {
            links::invite(settings, links::Invitee { email, name, role, groups, ttl }).await
        }
        Command::PasswordLink { email, ttl } => links::for_password(settings, &email, &ttl).await,
        Command::SetPassword { email, password_stdin } => set_password(settings, &email, password_stdin).await,
    }
}

async fn add(settings: &Settings, email: &str, (name, role): (&str, &str), password_stdin: bool) -> Result<()> {
    let (email, name) = (new_address(email)?, account::display_name(name)?);
    let about = vec![name.clone(), email.as_str().to_owned()];
    let new = account::New {
        email,
        name,
        role: Role::from_word(role).ok_or_else(|| Error::bug("clap accepted an unknown role"))?,
        password_hash: new_password(settings, about, (password_stdin, false)).await?.hash,
    };
    let taken = format!("there is already an account with the address {}", new.email.as_str());
    // The first owner may be created before the first start of the server.
    let db = match new.role {
        Role::Owner => make_to_record(settings).await?,
        _ => open_to_record(settings).await?,
    };
    let account = people::add(&db, new).await?.ok_or(Error::Conflict(taken))?;
    say(&account.id)
}

async fn list(settings: &Settings) -> Result<()> {
    let db = open_to_read(settings).await?;
    let mut last = String::new();
    loop {
        let after = last.clone();
        let some = db.read(async move |conn: &mut Conn<'_>| in_order::list_after(conn, &after).await).await?;
        let Some((.., newest)) = some.last() else { return Ok(()) };
        last.clone_from(newest);
        for (account, disabled_at, _) in some {
            let status = if disabled_at.is_some() { "disabled" } else { "enabled" };
            say(&format!("{}\t{}\t{}\t{status}\t{}", account.id, account.email, account.role, account.name))?;
        }
    }
}

async fn disable(settings: &Settings, email: &str) -> Result<()> {
    let changes = Changes { disabled: Some(true), ..Changes::default() };
    let changed = person::change(settings, email, changes).await?;
    say(&format!("disabled, ended {}", changed.ended))
}

async fn enable(settings: &Settings, email: &str) -> Result<()> {
    let changes = Changes { disabled: Some(false), ..Changes::default() };
    person::change(settings, email, changes).await?;
    say("enabled")
}

async fn set_password(settings: &Settings, email: &str, password_stdin: bool) -> Result<()> {
    let address = address(email)?;
    // Whether the account has a second factor, beside which a shorter password will do, is known when it is set.
    let chosen = new_password(settings, vec![address.as_str().to_owned()], (password_stdin, true)).await?;
    let (db, letters) = open_with_letters(settings).await?;
    let ended = people::set_password(&db, &letters, &address, chosen).await.map_err(unusable)?;
    let ended = ended.ok_or_else(|| unknown(&address))?;
    say(&format!("password changed, ended {ended}"))
}

async fn new_password(
    settings: &Settings,
    about: Vec<String>,
    (password_stdin, has_second_factor): (bool, bool),
) -> Result<ChosenPassword> {
    let hasher = Hasher::new(1, Lengths::new(settings.password_min))?;
    let password = password::obtain(password_stdin).await?;
    let place = hasher.place(&Source::Command)?;
    hasher.choose(place, password, about, has_second_factor).await.map_err(unusable)
}

fn unusable(error: Error) -> Error {
    match error {
        Error::Invalid(words) => Error::Invalid(format!("the password cannot be used: {words}")),
        other => other,
    }
}

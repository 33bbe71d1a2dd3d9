//! `sessile user …`: shows, changes, exports and deletes one account. Called by [`user`](super::user).
//!
//! Invariant: the commands call the same actions as the pages, and record the operator as the actor.

use super::{
    address::{address, new_address, unknown},
    open::{open_to_read, open_to_record, open_with_any_keys_and_letters, open_with_letters},
    output::say,
};
use crate::{
    actions::{
        apps::manager::Manager,
        person::{
            change::{self, Changed, Changes, Refused},
            delete, export,
        },
        second_factor::reset::{Reset, reset},
    },
    base::{
        db::{Conn, Db},
        error::{Error, Result},
        settings::Settings,
    },
    records::{
        account::{self, EmailAddress, Role, groups, person, search},
        session::people::{self, PersonView},
    },
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Shows an account as JSON
    Show {
        /// E-mail address of the account
        email: String,
    },
    /// Gives an account another display name
    Rename {
        /// E-mail address of the account
        email: String,
        /// The new display name
        name: String,
    },
    /// Gives an account another e-mail address
    SetEmail {
        /// E-mail address of the account
        email: String,
        /// The new e-mail address
        new: String,
    },
    /// Gives an account another role
    SetRole {
        /// E-mail address of the account
        email: String,
        /// The new role
        #[arg(value_parser = ["owner", "admin", "member"])]
        role: String,
    },
    /// Replaces the groups of an account
    Groups {
        /// E-mail address of the account
        email: String,
        /// All groups of the account; without any, it has none
        groups: Vec<String>,
    },
    /// Deletes an account and everything that is kept about the person
    Delete {
        /// E-mail address of the account
        email: String,
    },
    /// Removes the second factor of an account, for a person who has lost it, and ends its sessions
    ResetSecondFactor {
        /// E-mail address of the account
        email: String,
    },
    /// Prints everything that is kept about a person as JSON
    Export {
        /// E-mail address of the account
        email: String,
    },
}

pub async fn run(command: Command, settings: &Settings) -> Result<()> {
    match command {
        Command::Show { email } => show(settings, &email).await,
        Command::Rename { email, name } => {
            let name = account::display_name(&name)?;
            if name.is_empty() {
                return Err(Error::Invalid("NAME is empty: give the new display name".into()));
            }
            change(settings, &email, Changes { name: Some(name), ..Changes::default() }).await?;
            say("renamed")
        }
        Command::SetEmail { email, new } => {
            let new = Some(new_address(&new)?);
            change(settings, &email, Changes { email: new, ..Changes::default() }).await?;
            say("e-mail address changed")
        }
        Command::SetRole { email, role } => {
            change(settings, &email, Changes { role: Role::from_word(&role), ..Changes::default() }).await?;
            say("role changed")
        }
        Command::Groups { email, groups } => {
            let groups = Some(groups::joined(groups.iter().map(String::as_str))?);
            change(settings, &email, Changes { groups, ..Changes::default() }).await?;
            say("groups changed")
        }
        Command::Delete { email } => {
            let address = address(&email)?;
            let db = open_to_record(settings).await?;
            let id = id_of(&db, &address).await?;
            delete::delete(&db, &Manager::Operator, &id).await?.map_err(|refused| in_words(refused, &address))?;
            say("deleted")
        }
        Command::ResetSecondFactor { email } => {
            let address = address(&email)?;
            let (db, letters) = open_with_any_keys_and_letters(settings).await?;
            let id = id_of(&db, &address).await?;
            match reset(&db, &letters, &Manager::Operator, &id).await? {
                Reset::HadNone => say("there was no second factor"),
                Reset::Removed { ended } => say(&format!("second factor removed, ended {ended}")),
            }
        }
        Command::Export { email } => {
            let db = open_to_record(settings).await?;
            let id = id_of(&db, &address(&email)?).await?;
            let kept = export::of_person(&db, &Manager::Operator, &id).await?;
            say(&serde_json::to_string_pretty(&kept).map_err(Error::bug)?)
        }
    }
}

/// Changes the account with this address.
pub async fn change(settings: &Settings, email: &str, changes: Changes) -> Result<Changed> {
    let address = address(email)?;
    let (db, letters) = open_with_letters(settings).await?;
    let id = id_of(&db, &address).await?;
    change::change(&db, &letters, (&Manager::Operator, &id), changes)
        .await?
        .map_err(|refused| in_words(refused, &address))
}

/// Prints all accounts as JSON, newest first.
pub async fn list_json(settings: &Settings) -> Result<()> {
    let db = open_to_read(settings).await?;
    let views = db
        .read(async |conn: &mut Conn<'_>| {
            let (mut views, mut before) = (Vec::new(), None);
            loop {
                let page = search::page(conn, "", before, search::MOST_A_PAGE).await?;
                views.extend(views_of(conn, page.people).await?);
                before = page.next;
                if before.is_none() {
                    return Ok(views);
                }
            }
        })
        .await?;
    say(&serde_json::to_string_pretty(&views).map_err(Error::bug)?)
}

async fn show(settings: &Settings, email: &str) -> Result<()> {
    let db = open_to_read(settings).await?;
    let id = id_of(&db, &address(email)?).await?;
    let read = async move |conn: &mut Conn<'_>| {
        let person = person::find(conn, &id).await?.ok_or(Error::NotFound)?;
        views_of(conn, vec![person]).await
    };
    let view = db.read(read).await?.pop().ok_or(Error::NotFound)?;
    say(&serde_json::to_string_pretty(&view).map_err(Error::bug)?)
}

async fn views_of(conn: &mut Conn<'_>, persons: Vec<person::Person>) -> Result<Vec<PersonView>> {
    let persons = people::with_usage(conn, persons).await?;
    Ok(persons.iter().map(|(person, usage)| PersonView::new(person, usage)).collect())
}

async fn id_of(db: &Db, address: &EmailAddress) -> Result<String> {
    let key = address.key().to_owned();
    let found = db.read(async move |conn: &mut Conn<'_>| person::id_of(conn, &key).await).await?;
    found.ok_or_else(|| unknown(address))
}

fn in_words(refused: Refused, address: &EmailAddress) -> Error {
    let address = address.as_str();
    Error::Conflict(match refused {
        Refused::LastOwner => format!(
            "{address} is the last owner who can sign in: create another owner first, with `sessile user add --role owner`"
        ),
        Refused::EmailTaken => "there is already an account with the new address".to_owned(),
    })
}

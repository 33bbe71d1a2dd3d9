//! `sessile session …`

use serde::Serialize;

use super::{open, say};
use crate::{
    account::{self, EmailAddress},
    audit::OPERATOR,
    db::Conn,
    error::{Error, Result},
    session::{EndReason, Scope, SessionView, store},
    settings::Settings,
};

/// What to do with sessions.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Lists the living sessions, newest activity first
    List {
        /// Only those of this account
        #[arg(long)]
        email: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ends sessions
    #[command(group(clap::ArgGroup::new("which").required(true)))]
    Revoke {
        /// This one
        #[arg(group = "which")]
        id: Option<String>,
        /// All of this account
        #[arg(long, group = "which")]
        email: Option<String>,
        /// All there are
        #[arg(long, group = "which")]
        all: bool,
    },
}

/// Carries it out.
pub async fn run(command: Command, settings: &Settings) -> Result<()> {
    match command {
        Command::List { email, json } => list(settings, email, json).await,
        Command::Revoke { id: Some(id), .. } => revoke_one(settings, id).await,
        Command::Revoke { email, .. } => revoke_many(settings, email).await,
    }
}

#[derive(Serialize)]
struct Line {
    email: String,
    #[serde(flatten)]
    session: SessionView,
}

async fn list(settings: &Settings, email: Option<String>, json: bool) -> Result<()> {
    let only = email.as_deref().map(EmailAddress::parse).transpose()?.map(|email| email.key());
    let mut rows = open(settings).await?.read(async |conn: &mut Conn<'_>| store::list_all(conn).await).await?;
    rows.retain(|(_, email, _)| only.as_ref().is_none_or(|only| email.to_lowercase() == *only));
    if json {
        let lines: Vec<Line> = rows
            .into_iter()
            .map(|(record, email, device)| Line { email, session: SessionView::new(&record, device.as_deref(), false) })
            .collect();
        return say(&serde_json::to_string_pretty(&lines).map_err(Error::bug)?);
    }
    for (record, email, device) in rows {
        let device = device.unwrap_or_else(|| record.client().label());
        say(&format!(
            "{}\t{email}\t{device}\t{}\tactive {}\tuntil {}",
            record.id,
            record.ip.as_deref().unwrap_or("-"),
            record.last_activity.rfc3339(),
            record.expires_at.rfc3339()
        ))?;
    }
    Ok(())
}

async fn revoke_one(settings: &Settings, id: String) -> Result<()> {
    let unknown = format!("no session {id} lives: `sessile session list` names those that do");
    let ended = end(settings, Scope::One(id)).await?;
    if ended == 0 {
        return Err(Error::Invalid(unknown));
    }
    say(&format!("ended {ended}"))
}

async fn revoke_many(settings: &Settings, email: Option<String>) -> Result<()> {
    let scope = match email {
        None => Scope::All,
        Some(email) => {
            let key = EmailAddress::parse(&email)?.key();
            let found = open(settings)
                .await?
                .read(async move |conn: &mut Conn<'_>| account::find_credentials(conn, &key).await)
                .await?;
            let found = found.ok_or_else(|| Error::Invalid(format!("there is no account with the address {email}")))?;
            Scope::Account(found.account.id)
        }
    };
    say(&format!("ended {}", end(settings, scope).await?))
}

async fn end(settings: &Settings, scope: Scope) -> Result<usize> {
    open(settings)
        .await?
        .write(async move |conn: &mut Conn<'_>| store::end(conn, &scope, EndReason::Revoked, OPERATOR, None).await)
        .await
}

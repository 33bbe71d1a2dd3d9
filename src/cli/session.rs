//! `sessile session …`: lists and ends sessions. Called by [`run`](super::run).
//!
//! Invariant: `revoke --all` works with any key file, even if the right one is lost.

use std::io::Write as _;

use serde::Serialize;

use super::{
    address::{address, unknown},
    open::{open_to_read, open_to_record, open_with_any_keys},
    output::say,
    progress::Progress,
};
use crate::{
    actions::revoke::{self, AllEnded},
    base::{
        db::{Conn, Db},
        error::{Error, Result},
        settings::Settings,
    },
    records::{
        account::{self, Account},
        session::{
            SessionView,
            listing::{self, Listed},
        },
    },
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Lists live sessions, newest activity first
    List {
        /// Only sessions of this account
        #[arg(long)]
        email: Option<String>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Ends sessions
    #[command(group(clap::ArgGroup::new("which").required(true)))]
    Revoke {
        /// The session with this id
        #[arg(group = "which")]
        id: Option<String>,
        /// All sessions of this account
        #[arg(long, group = "which")]
        email: Option<String>,
        /// All sessions
        #[arg(long, group = "which")]
        all: bool,
    },
}

pub async fn run(command: Command, settings: &Settings) -> Result<()> {
    match command {
        Command::List { email, json } => list(settings, email, json).await,
        Command::Revoke { id: Some(id), .. } => revoke_one(settings, id).await,
        Command::Revoke { email: Some(email), .. } => revoke_all_of(settings, &email).await,
        Command::Revoke { .. } => revoke_all(settings).await,
    }
}

#[derive(Serialize)]
struct Line {
    email: String,
    #[serde(flatten)]
    session: SessionView,
}

async fn list(settings: &Settings, email: Option<String>, json: bool) -> Result<()> {
    let db = open_to_read(settings).await?;
    let account = match email {
        Some(email) => Some(account_of(&db, &email).await?),
        None => None,
    };
    let rows = match account {
        Some(account) => db.read(async move |conn: &mut Conn<'_>| of_account(conn, &account).await).await?,
        None => of_all(&db).await?,
    };
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

/// The live sessions of one account, newest activity first.
async fn of_account(conn: &mut Conn<'_>, account: &Account) -> Result<Vec<Listed>> {
    let own = listing::list(conn, &account.id).await?;
    Ok(own.into_iter().map(|(record, device)| (record, account.email.clone(), device)).collect())
}

/// The live sessions of all accounts, newest activity first. Sorted here, because the database would have to sort all of
/// them within the time limit of one statement.
async fn of_all(db: &Db) -> Result<Vec<Listed>> {
    let progress = Progress::begin();
    progress.about("reading sessions");
    let read = read_all(db, &progress).await;
    progress.finish("nothing was listed")?;
    let mut all = read?;
    all.sort_by(|(one, ..), (other, ..)| (other.last_activity, &one.id).cmp(&(one.last_activity, &other.id)));
    Ok(all)
}

async fn read_all(db: &Db, progress: &Progress) -> Result<Vec<Listed>> {
    let (mut all, mut last) = (Vec::new(), String::new());
    loop {
        let after = last.clone();
        let read = db.read(async move |conn: &mut Conn<'_>| listing::of_accounts_after(conn, &after).await);
        let Some((some, newest)) = read.await? else { return Ok(all) };
        let go_on = progress.after(some.len());
        all.extend(some);
        last = newest;
        if !go_on {
            return Ok(all);
        }
    }
}

async fn revoke_one(settings: &Settings, id: String) -> Result<()> {
    let unknown = format!("there is no live session {id}: `sessile session list` lists them");
    let db = open_to_record(settings).await?;
    match revoke::revoke_one(&db, id).await? {
        true => say("ended 1"),
        false => Err(Error::Invalid(unknown)),
    }
}

async fn revoke_all_of(settings: &Settings, email: &str) -> Result<()> {
    let db = open_to_record(settings).await?;
    let found = account_of(&db, email).await?;
    say(&format!("ended {}", revoke::revoke_account(&db, found.id).await?))
}

async fn account_of(db: &Db, email: &str) -> Result<Account> {
    let address = address(email)?;
    let key = address.key().to_owned();
    let found = db.read(async move |conn: &mut Conn<'_>| account::find_credentials(conn, &key).await).await?;
    Ok(found.ok_or_else(|| unknown(&address))?.account)
}

async fn revoke_all(settings: &Settings) -> Result<()> {
    let db = open_with_any_keys(settings).await?;
    let ended = revoke::revoke_all(&db).await?;
    say(&format!("ended {ended}"))?;
    note_rows_left(ended);
    Ok(())
}

/// Tells the operator who records the end of each session, if the command did not.
pub(super) fn note_rows_left(ended: AllEnded) {
    if ended.has_rows_left() {
        let text = "sessile: no session opens anything any more. The audit event of each session follows: a running server \
                    records them in the background, and so does `sessile prune`.";
        // Ignore errors: if stderr is closed, nobody can read the line.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

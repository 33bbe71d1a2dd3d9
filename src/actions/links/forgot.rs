//! Somebody has forgotten their password and asks for help. Called by the page `/forgot`.
//!
//! Two transactions: the first counts the request for its network, the second one notes it. Locks of the second, in this
//! order: the account's row, its request for help.
//!
//! Invariant: the answer, its time and its database work are the same whether or not the address has an account. The second
//! transaction runs after the answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::password_link;
use crate::{
    base::{
        db::{Conn, Db},
        error::{Away, Error, Result},
        secret::Secret,
    },
    records::{
        account::{
            self, EmailAddress, invited,
            person::{self, Person},
        },
        audit::{self, Event, Kind},
        help,
        link::{self, Purpose},
        mail::{Detail, Letters, MailKind},
        news,
        throttle::{
            Limit, Network, Subject,
            count::{self, Begun},
        },
    },
};

const HOUR: Duration = Duration::from_secs(3600);
/// The most links that a person is sent in an hour.
const MOST_MAILS: usize = 3;
/// Requests from one network, which a whole office may share. After that, there is a wait that doubles.
const REQUESTS: Limit = Limit { free: 20, memory: HOUR };
/// Requests that are noted at once on this node.
const MOST_AT_ONCE: usize = 32;

/// Notes requests for help. Cheap to clone; all clones share the limit.
#[derive(Debug, Clone)]
pub struct HelpDesk(Arc<Semaphore>);

impl Default for HelpDesk {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_AT_ONCE)))
    }
}

/// A request for help.
#[derive(Debug, Clone)]
pub struct Asked {
    pub email: EmailAddress,
    pub network: Network,
    /// The client's IP address.
    pub ip: Option<String>,
}

impl HelpDesk {
    /// Counts the request, and has it noted soon after.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] after too many requests from this network.
    pub async fn ask(&self, db: &Db, letters: &Letters, asked: Asked) -> Result<()> {
        let busy = || Error::unavailable(Away::Busy, "too many requests for help at once");
        let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| busy())?;
        let subjects = [Subject::network_doing("help", &asked.network, REQUESTS)];
        let begun = db
            .write(async move |conn: &mut Conn<'_>| {
                let begun = count::begin(conn, &subjects).await?;
                if let Begun::Yes(counted) = &begun {
                    count::give_back(conn, counted).await?;
                }
                Ok(begun)
            })
            .await?;
        if let Begun::No { wait, .. } = begun {
            return Err(Error::TooManyAttempts(wait));
        }
        let (db, letters) = (db.clone(), letters.clone());
        tokio::task::spawn_local(async move {
            if let Err(error) = note(&db, letters, asked).await {
                tracing::warn!(%error, "noting a request for help failed");
            }
            drop(permit);
        });
        Ok(())
    }
}

async fn note(db: &Db, letters: Letters, asked: Asked) -> Result<()> {
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(id) = person::id_of(conn, asked.email.key()).await? else { return Ok(()) };
        account::lock(conn, &id).await?;
        let person = person::find(conn, &id).await?.filter(|person| !person.is_disabled());
        let Some(person) = person else { return Ok(()) };
        let is_new = match letters.is_on() {
            true => send(conn, &letters, &person).await?,
            false => help::ask(conn, &id).await?,
        };
        if !is_new {
            return Ok(());
        }
        let event = Event::of(Kind::PasswordHelpAsked, &id).by("visitor").ip(asked.ip.as_deref());
        audit::record(conn, &[event]).await?;
        if letters.is_on() {
            return Ok(());
        }
        let helpers = invited::helpers(conn).await?;
        news::changed(conn, helpers.iter().map(String::as_str))
    })
    .await
}

/// Sends a link to the person. `false` if they were sent enough of them. Links that an admin made keep working. Somebody who
/// is invited is sent the invitation again, which works as long as the first one: not after it was cancelled or has expired.
async fn send(conn: &mut Conn<'_>, letters: &Letters, person: &Person) -> Result<bool> {
    let id = person.account.id.as_str();
    let (purpose, kind, life) = match person.is_invited() {
        true => (Purpose::Invitation, MailKind::Invitation, link::remaining(conn, id, Purpose::Invitation).await?),
        false => (Purpose::Password, MailKind::ForgottenPassword, Some(password_link::LIFE)),
    };
    let Some(life) = life else { return Ok(false) };
    if link::made_within(conn, id, (purpose, id), HOUR).await? >= MOST_MAILS {
        return Ok(false);
    }
    let new = link::New { purpose, about: None, life, by: id, token: Secret::random()? };
    letters.queue_with_link(conn, &person.account, (kind, Detail::default()), new).await.map(|_| true)
}

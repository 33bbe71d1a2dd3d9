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

use crate::{
    base::{
        db::{Conn, Db},
        error::{Away, Error, Result},
    },
    records::{
        account::{self, EmailAddress, invited},
        audit::{self, Event, Kind},
        help, news,
        throttle::{
            Limit, Network, Subject,
            count::{self, Begun},
        },
    },
};

/// Requests from one network, which a whole office may share. After that, there is a wait that doubles.
const REQUESTS: Limit = Limit { free: 20, memory: Duration::from_secs(3600) };
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
    pub async fn ask(&self, db: &Db, asked: Asked) -> Result<()> {
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
        let db = db.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = note(&db, asked).await {
                tracing::warn!(%error, "noting a request for help failed");
            }
            drop(permit);
        });
        Ok(())
    }
}

async fn note(db: &Db, asked: Asked) -> Result<()> {
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(id) = invited::id_of(conn, &asked.email).await? else { return Ok(()) };
        account::lock(conn, &id).await?;
        let person = invited::standing(conn, &id).await?;
        if person.is_none_or(|person| person.is_disabled) || !help::ask(conn, &id).await? {
            return Ok(());
        }
        let event = Event::of(Kind::PasswordHelpAsked, &id).by("visitor").ip(asked.ip.as_deref());
        audit::record(conn, &[event]).await?;
        let helpers = invited::helpers(conn).await?;
        news::changed(conn, helpers.iter().map(String::as_str))
    })
    .await
}

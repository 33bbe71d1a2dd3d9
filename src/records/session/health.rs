//! Health probes for sessions. Each probe runs a normal operation on a session that does not exist, so that nothing
//! changes. Called by the readiness check of `ops`.
//!
//! Invariant: each probe runs the same statement as a request, through the same pool.

use std::time::{Duration, Instant as Stopwatch};

use super::{
    amr::Amr,
    counts,
    key::SessionKey,
    lookup::Found,
    service::Sessions,
    statements::{self, NewSession},
};
use crate::{
    base::{
        db::{Conn, TouchRow},
        error::{Error, Result},
        secret,
    },
    records::device::Client,
};

/// No account has this id.
const NO_ACCOUNT: &str = "";
/// How many accounts a probe on distributed tables tries, and for how long it begins another one.
const MOST_TRIES: u32 = 8;
const TIME_FOR_TRIES: Duration = Duration::from_secs(2);

impl Sessions {
    /// Looks up a session, as every request does.
    pub async fn try_load(&self) -> Result<()> {
        self.on_any_server(async |account_id| match self.look_up(&self.unknown_key(account_id)?).await? {
            Found::Unknown => Ok(()),
            Found::Live(_) | Found::Former | Found::Ended { .. } | Found::Overdue { .. } => {
                Err(Error::bug("a lookup by a new random key found a session"))
            }
        })
        .await
    }

    /// Tries to rotate a session in a transaction, as a login does.
    pub async fn try_rotation(&self) -> Result<()> {
        self.on_any_server(async |account_id| self.try_rotation_of(account_id).await).await
    }

    async fn try_rotation_of(&self, account_id: &str) -> Result<()> {
        let (old, times) = (self.unknown_key(account_id)?, self.times);
        let new = NewSession {
            key: self.unknown_key(account_id)?,
            nonce: None,
            form: None,
            account_id: account_id.to_owned(),
            device_id: String::new(),
            ip: None,
            client: Client::from_user_agent(""),
            amr: Amr::password(),
            generation: 0,
        };
        let rotate = async move |conn: &mut Conn<'_>| statements::rotate(conn, &old, &new, times).await;
        match self.db.write(rotate).await? {
            None => Ok(()),
            Some(_) => Err(Error::bug("a rotation of a new random key changed a session")),
        }
    }

    /// Tries to write a touch, as every flush does.
    pub async fn try_touch(&self) -> Result<()> {
        self.on_any_server(async |account_id| self.try_touch_of(account_id).await).await
    }

    async fn try_touch_of(&self, account_id: &str) -> Result<()> {
        let at = self.clock.now();
        let (account_id, id) = (account_id.to_owned(), self.unknown_key(account_id)?.id().to_owned());
        match self.touch_now(TouchRow { account_id, id, at, expires_at: at.plus(self.times.idle), ip: None }).await? {
            false => Ok(()),
            true => Err(Error::bug("a touch of a new random id changed a session")),
        }
    }

    /// The number of live sessions.
    pub async fn count_live(&self) -> Result<i64> {
        self.db.read(async |conn: &mut Conn<'_>| counts::count_live(conn).await).await
    }

    /// A new key that belongs to no session of this account.
    fn unknown_key(&self, account_id: &str) -> Result<SessionKey> {
        SessionKey::generate(account_id, self.clock.now())
    }

    /// Runs a probe for an account that does not exist. On distributed tables, a worker that is away must not make the node
    /// unready, because accounts on the other workers go on. So the probe runs for other such accounts too, until one
    /// succeeds.
    async fn on_any_server(&self, probe: impl AsyncFn(&str) -> Result<()>) -> Result<()> {
        let begun = Stopwatch::now();
        let mut result = probe(NO_ACCOUNT).await;
        let mut tries = 1;
        while self.db.is_distributed() && result.is_err() && tries < MOST_TRIES && begun.elapsed() < TIME_FOR_TRIES {
            result = probe(&secret::random_name("acc_")?).await;
            tries += 1;
        }
        result
    }
}

//! Health probes for sessions. Each probe runs a normal operation on a session that does not exist, so that nothing
//! changes. Called by the readiness check of `ops`.
//!
//! Invariant: each probe runs the same statement as a request, through the same pool.

use super::{
    amr::Amr,
    key::SessionKey,
    listing,
    lookup::Found,
    service::Sessions,
    statements::{self, NewSession},
};
use crate::{
    base::{
        db::{Conn, TouchRow},
        error::{Error, Result},
    },
    records::device::Client,
};

/// No account has this id.
const NO_ACCOUNT: &str = "";

impl Sessions {
    /// Looks up a session, as every request does.
    pub async fn try_load(&self) -> Result<()> {
        match self.look_up(&self.unknown_key()?).await? {
            Found::Unknown => Ok(()),
            Found::Live(_) | Found::Former | Found::Ended { .. } | Found::Overdue { .. } => {
                Err(Error::bug("a lookup by a new random key found a session"))
            }
        }
    }

    /// Tries to rotate a session in a transaction, as a login does.
    pub async fn try_rotation(&self) -> Result<()> {
        let (old, times) = (self.unknown_key()?, self.times);
        let new = NewSession {
            key: self.unknown_key()?,
            nonce: None,
            form: None,
            account_id: NO_ACCOUNT.to_owned(),
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
        let at = self.clock.now();
        let (account_id, id) = (NO_ACCOUNT.to_owned(), self.unknown_key()?.id().to_owned());
        match self.touch_now(TouchRow { account_id, id, at, expires_at: at.plus(self.times.idle), ip: None }).await? {
            false => Ok(()),
            true => Err(Error::bug("a touch of a new random id changed a session")),
        }
    }

    /// The number of live sessions.
    pub async fn count_live(&self) -> Result<i64> {
        self.db.read(async |conn: &mut Conn<'_>| listing::count_live(conn).await).await
    }

    /// A new key that belongs to no session.
    fn unknown_key(&self) -> Result<SessionKey> {
        SessionKey::generate(NO_ACCOUNT, self.clock.now())
    }
}

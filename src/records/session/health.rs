//! Whether sessions work, found out by doing what they do: on a session that does not exist, so that nothing changes.
//! Called by the readiness check of `ops`.
//!
//! Invariant: each runs the very statement that requests run, through the same pool.

use super::{
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
const NOBODY: &str = "";

impl Sessions {
    /// Looks a session up, as every request does.
    ///
    /// # Errors
    /// When the database is away, or finds what cannot be there.
    pub async fn try_load(&self) -> Result<()> {
        match self.look_up(&self.nobodys_key()?).await? {
            Found::Unknown => Ok(()),
            Found::Live(_) | Found::Former | Found::Ended { .. } | Found::Expired { .. } => {
                Err(Error::bug("a session was found under a key made just now"))
            }
        }
    }

    /// Rotates a session, in a transaction, as a login does.
    ///
    /// # Errors
    /// When the database is away or takes no writes.
    pub async fn try_rotation(&self) -> Result<()> {
        let (old, times) = (self.nobodys_key()?, self.times);
        let new = NewSession {
            key: self.nobodys_key()?,
            nonce: None,
            form: None,
            account_id: NOBODY.to_owned(),
            device_id: String::new(),
            ip: None,
            client: Client::from_user_agent(""),
        };
        let rotate = async move |conn: &mut Conn<'_>| statements::rotate(conn, &old, &new, times).await;
        match self.db.write(rotate).await? {
            None => Ok(()),
            Some(_) => Err(Error::bug("a session was rotated under a key made just now")),
        }
    }

    /// Writes a touch, as each flush does.
    ///
    /// # Errors
    /// When the database is away or takes no writes.
    pub async fn try_touch(&self) -> Result<()> {
        let at = self.clock.now();
        let (account_id, id) = (NOBODY.to_owned(), self.nobodys_key()?.id().to_owned());
        match self.touch_now(TouchRow { account_id, id, at, expires_at: at.plus(self.times.idle), ip: None }).await? {
            false => Ok(()),
            true => Err(Error::bug("a session was touched under an id made just now")),
        }
    }

    /// How many sessions live.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn count_live(&self) -> Result<i64> {
        self.db.read(async |conn: &mut Conn<'_>| listing::count_live(conn).await).await
    }

    /// The key of a session that was never begun.
    fn nobodys_key(&self) -> Result<SessionKey> {
        SessionKey::generate(NOBODY, self.clock.now())
    }
}

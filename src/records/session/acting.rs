//! Whatever is written on behalf of a session is written through here: in the transaction that writes, the rows are locked
//! in the one order that all keep, and the session must live, under the very key that the request brought.
//!
//! The order: the account's row, then rows of sessions in the order of their ids, then everything else.
//!
//! Invariant: nothing is written for a session after its end was committed, however long its request was under way.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{confirmation::is_fresh, former, key::SessionKey, listing, live::is_live, who::Who};
use crate::{
    base::{
        db::{Conn, ForUpdate, Instant, now, run, schema::sessions},
        error::{Error, Result},
    },
    records::account,
};

/// A session that a request acts for, and the key that it brought.
#[derive(Debug, Clone)]
pub struct Acting {
    who: Who,
    key: SessionKey,
}

/// Which rows a transaction needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// That of the session itself.
    Itself,
    /// Those of all living sessions of the account, since some of them may be ended.
    AllSessions,
}

impl Acting {
    /// For this session, by this key.
    pub fn new(who: Who, key: SessionKey) -> Self {
        Self { who, key }
    }

    /// Locks the account and the session until the transaction ends; who acts, under the session's present id. `None` when
    /// the session has ended, or the key is not its own any more.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn hold(&self, conn: &mut Conn<'_>, reach: Reach) -> Result<Option<Who>> {
        Ok(self.lock(conn, reach).await?.map(|(who, _)| who))
    }

    /// The same for what needs a password that was given lately.
    ///
    /// # Errors
    /// [`Error::ConfirmationRequired`]; or when the database is away.
    pub async fn hold_confirmed(&self, conn: &mut Conn<'_>, reach: Reach) -> Result<Option<Who>> {
        let Some((who, given_at)) = self.lock(conn, reach).await? else {
            return Ok(None);
        };
        let changed_at = account::password_age(conn, &who.account_id).await?.ok_or(Error::NotFound)?;
        let now: Instant = run!(conn, get_result(diesel::select(now())))?;
        match is_fresh(given_at, changed_at, now) {
            true => Ok(Some(who)),
            false => Err(Error::ConfirmationRequired),
        }
    }

    async fn lock(&self, conn: &mut Conn<'_>, reach: Reach) -> Result<Option<(Who, Instant)>> {
        account::lock(conn, &self.who.account_id).await?;
        if reach == Reach::AllSessions {
            listing::lock_living(conn, &self.who.account_id).await?;
        }
        let account_id = self.who.account_id.as_str();
        let current = living!(account_id, self.key.id()).filter(sessions::secret_hash.eq(self.key.secret().hash()));
        let mut rows: Vec<(String, Instant)> =
            run!(conn, load(ForUpdate::wait(current.select((sessions::id, sessions::authenticated_at)))))?;
        if rows.is_empty()
            && let Some(former) = former::look_up(conn, account_id, &self.key).await?
        {
            // Another tab gave the password meanwhile, and no browser has shown the new key yet.
            let unused = living!(account_id, &former.session_id)
                .filter(sessions::previous_id.eq(self.key.id()))
                .filter(sessions::key_used_at.is_null());
            rows = run!(conn, load(ForUpdate::wait(unused.select((sessions::id, sessions::authenticated_at)))))?;
        }
        Ok(rows.pop().map(|(session_id, given_at)| (Who { session_id, ..self.who.clone() }, given_at)))
    }
}

/// A session of the account, if it lives.
macro_rules! living {
    ($account_id:expr, $id:expr) => {
        sessions::table.filter(sessions::account_id.eq($account_id)).filter(sessions::id.eq($id)).filter(is_live())
    };
}
use living;

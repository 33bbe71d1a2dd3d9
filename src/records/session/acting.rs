//! Locks and checks for writes on behalf of a session. The transaction that writes locks its rows in a fixed order and
//! checks that the session is live under the key that the request presented. Called by `actions`.
//!
//! Lock order: the account's row, then session rows in id order, then everything else.
//!
//! Invariant: nothing is written for a session after its end was committed, however long the request takes.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{confirmation::is_fresh, former, key::SessionKey, listing, live::is_live, who::Who};
use crate::{
    base::{
        db::{Conn, ForUpdate, Instant, now, run, schema::sessions},
        error::{Error, Result},
    },
    records::account,
};

/// The session that a request acts for, and the key that the request presented.
#[derive(Debug, Clone)]
pub struct Acting {
    who: Who,
    key: SessionKey,
}

/// The session rows that a transaction locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only the acting session.
    Itself,
    /// All live sessions of the account, because the transaction may end some of them.
    AllSessions,
}

impl Acting {
    pub fn new(who: Who, key: SessionKey) -> Self {
        Self { who, key }
    }

    /// The account that acts.
    pub fn account_id(&self) -> &str {
        &self.who.account_id
    }

    /// Locks the account and the session until the transaction ends. Returns the actor, with the session's current id.
    /// `None` if the session has ended or the key is no longer valid.
    pub async fn hold(&self, conn: &mut Conn<'_>, reach: Reach) -> Result<Option<Who>> {
        Ok(self.lock(conn, reach).await?.map(|(who, _)| who))
    }

    /// Like [`hold`](Self::hold), but also requires that the password was entered recently.
    ///
    /// # Errors
    /// [`Error::ConfirmationRequired`] when the password must be entered again.
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
        let current =
            live_session!(account_id, self.key.id()).filter(sessions::secret_hash.eq(self.key.secret().hash()));
        let mut rows: Vec<(String, Instant)> =
            run!(conn, load(ForUpdate::wait(current.select((sessions::id, sessions::authenticated_at)))))?;
        if rows.is_empty()
            && let Some(former) = former::look_up(conn, account_id, &self.key).await?
        {
            // Another tab has confirmed the password meanwhile, and the new key is still unused.
            let unused = live_session!(account_id, &former.session_id)
                .filter(sessions::previous_id.eq(self.key.id()))
                .filter(sessions::key_used_at.is_null());
            rows = run!(conn, load(ForUpdate::wait(unused.select((sessions::id, sessions::authenticated_at)))))?;
        }
        Ok(rows.pop().map(|(session_id, given_at)| (Who { session_id, ..self.who.clone() }, given_at)))
    }
}

/// The account's session with this id, if it is live.
macro_rules! live_session {
    ($account_id:expr, $id:expr) => {
        sessions::table.filter(sessions::account_id.eq($account_id)).filter(sessions::id.eq($id)).filter(is_live())
    };
}
use live_session;

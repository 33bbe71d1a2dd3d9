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
    records::account::{self, factors},
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
        Ok(self.lock(conn, reach).await?.map(|held| held.who))
    }

    /// Like [`hold`](Self::hold), but also requires that the password was entered recently.
    ///
    /// # Errors
    /// [`Error::ConfirmationRequired`] when the password must be entered again.
    pub async fn hold_confirmed(&self, conn: &mut Conn<'_>, reach: Reach) -> Result<Option<Who>> {
        let Some(held) = self.lock(conn, reach).await? else {
            return Ok(None);
        };
        let changed_at = account::password_age(conn, &held.who.account_id).await?.ok_or(Error::NotFound)?;
        let now: Instant = run!(conn, get_result(diesel::select(now())))?;
        match is_fresh(held.password_at, changed_at, now) {
            true => Ok(Some(held.who)),
            false => Err(Error::ConfirmationRequired),
        }
    }

    /// Like [`hold_confirmed`](Self::hold_confirmed), for changes of what the person signs in with. If the account has a
    /// second factor, it must have been given recently too. Also returns the database's time.
    ///
    /// # Errors
    /// [`Error::ConfirmationRequired`] when the password or the second factor must be given again.
    pub async fn hold_for_proofs(&self, conn: &mut Conn<'_>, reach: Reach) -> Result<Option<(Who, Instant)>> {
        let Some(held) = self.lock(conn, reach).await? else {
            return Ok(None);
        };
        let now = may_change_proofs(conn, &held, Some(held.password_at)).await?;
        Ok(Some((held.who, now)))
    }

    /// Like [`hold_for_proofs`](Self::hold_for_proofs), for a change whose transaction checks the password itself.
    ///
    /// # Errors
    /// [`Error::ConfirmationRequired`] when the account's second factor must be given again.
    pub async fn hold_with_second_factor(&self, conn: &mut Conn<'_>, reach: Reach) -> Result<Option<Who>> {
        let Some(held) = self.lock(conn, reach).await? else {
            return Ok(None);
        };
        may_change_proofs(conn, &held, None).await?;
        Ok(Some(held.who))
    }

    async fn lock(&self, conn: &mut Conn<'_>, reach: Reach) -> Result<Option<Held>> {
        account::lock(conn, &self.who.account_id).await?;
        if reach == Reach::AllSessions {
            listing::lock_living(conn, &self.who.account_id).await?;
        }
        let account_id = self.who.account_id.as_str();
        let current =
            live_session!(account_id, self.key.id()).filter(sessions::secret_hash.eq(self.key.secret().hash()));
        let columns = (sessions::id, sessions::authenticated_at, sessions::second_factor_at);
        let mut rows: Vec<(String, Instant, Option<Instant>)> =
            run!(conn, load(ForUpdate::wait(current.select(columns))))?;
        if rows.is_empty()
            && let Some(former) = former::look_up(conn, account_id, &self.key).await?
        {
            // Another tab has confirmed the password meanwhile, and the new key is still unused.
            let unused = live_session!(account_id, &former.session_id)
                .filter(sessions::previous_id.eq(self.key.id()))
                .filter(sessions::key_used_at.is_null());
            rows = run!(conn, load(ForUpdate::wait(unused.select(columns))))?;
        }
        let held = |(session_id, password_at, second_factor_at)| Held {
            who: Who { session_id, ..self.who.clone() },
            password_at,
            second_factor_at,
        };
        Ok(rows.pop().map(held))
    }
}

/// A session whose row is locked.
struct Held {
    who: Who,
    /// When the password was last entered in it.
    password_at: Instant,
    /// When a second factor was last given in it.
    second_factor_at: Option<Instant>,
}

/// Checks that the person has recently given their second factor, or the password if the account has none. Without
/// `password_at` the caller checks the password. Returns the database's time.
async fn may_change_proofs(conn: &mut Conn<'_>, held: &Held, password_at: Option<Instant>) -> Result<Instant> {
    let id = held.who.account_id.as_str();
    let changed_at = account::password_age(conn, id).await?.ok_or(Error::NotFound)?;
    let has_factor = factors::state(conn, id).await?.ok_or(Error::NotFound)?.count > 0;
    let now: Instant = run!(conn, get_result(diesel::select(now())))?;
    let is_recent = |at: Option<Instant>, since| at.is_some_and(|at| is_fresh(at, since, now));
    let may = match has_factor {
        // A new password takes nothing from it.
        true => is_recent(held.second_factor_at, Instant::from_micros(0)),
        false => password_at.is_none() || is_recent(password_at, changed_at),
    };
    if may { Ok(now) } else { Err(Error::ConfirmationRequired) }
}

/// The account's session with this id, if it is live.
macro_rules! live_session {
    ($account_id:expr, $id:expr) => {
        sessions::table.filter(sessions::account_id.eq($account_id)).filter(sessions::id.eq($id)).filter(is_live())
    };
}
use live_session;

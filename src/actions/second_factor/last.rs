//! Whether an account may lose a second factor, and what goes with the last one. Called by [`manage`](super::manage) and by
//! the passkeys.
//!
//! Invariant: an account that needs a second factor keeps one: because the operator requires it, or because its password is
//! too short to stand alone. Recovery codes do not outlive the last factor.

use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account::{self, factors},
        second_factor::recovery,
        session::Sessions,
    },
};

/// Why a factor was not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// This service requires a second factor of the person.
    Required,
    /// The password is too short for an account without a second factor.
    ShortPassword,
}

impl Kept {
    /// Whether a longer password would let the account lose the factor.
    pub fn needs_longer_password(self) -> bool {
        self == Self::ShortPassword
    }

    /// The reason, for the API and for pages.
    pub fn words(self) -> &'static str {
        match self {
            Self::Required => {
                "This service requires a second factor, and this is your last one. Add another one first."
            }
            Self::ShortPassword => {
                "This is your last second factor, and your password is too short to protect your account alone. Choose a \
                 longer password first."
            }
        }
    }
}

impl From<Kept> for Error {
    fn from(kept: Kept) -> Self {
        Self::Conflict(kept.words().to_owned())
    }
}

/// Whether the account may lose one of its factors. The caller has locked the account's row.
pub(in crate::actions) async fn may_lose_one(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    account_id: &str,
) -> Result<Result<(), Kept>> {
    let state = factors::state(conn, account_id).await?.ok_or(Error::NotFound)?;
    if state.count > 1 {
        return Ok(Ok(()));
    }
    let account = account::one(conn, account_id).await?.ok_or(Error::NotFound)?;
    Ok(if sessions.second_factor.applies_to(account.role) {
        Err(Kept::Required)
    } else if state.has_short_password {
        Err(Kept::ShortPassword)
    } else {
        Ok(())
    })
}

/// Deletes the recovery codes if the account has just lost its last factor. The caller has locked the account's row.
pub(in crate::actions) async fn after_removal(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    match factors::state(conn, account_id).await? {
        Some(state) if state.count > 0 => Ok(()),
        _ => recovery::delete(conn, account_id).await.map(drop),
    }
}

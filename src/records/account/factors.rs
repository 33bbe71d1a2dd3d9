//! What an account's row says about its second factors: how many there are, and a version that each change increments.
//! Called by the records of the authenticator app, the recovery codes and the passkeys, and by `actions::second_factor`.
//!
//! Invariant: each change of an account's second factors goes through this module, so a first step of a sign-in that was
//! made before the change is void, and every node hears of it.

use std::iter;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};

use super::{Account, Role};
use crate::{
    base::{
        db::{Conn, Instant, find, now, run, schema::accounts},
        error::Result,
        settings::SecondFactorRule,
    },
    records::news,
};

impl SecondFactorRule {
    /// Whether people with this role must have a second factor. Those may not remove their last one.
    pub fn applies_to(self, role: Role) -> bool {
        match self {
            Self::Off => false,
            Self::Admins => role.manages(),
            Self::Everyone => true,
        }
    }

    /// Whether the person reaches nothing but the set-up of a second factor, the confirmation and the sign-out.
    pub fn asks_for_set_up(self, account: &Account) -> bool {
        self.applies_to(account.role) && !account.has_second_factor()
    }
}

/// The state of an account's second factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactorState {
    /// The authenticator app and the passkeys together.
    pub count: i64,
    /// Incremented by each change.
    pub version: i64,
    /// Whether the password is shorter than accounts without a second factor may have.
    pub has_short_password: bool,
}

/// The account's second factors. `None` if there is no such account.
pub async fn state(conn: &mut Conn<'_>, id: &str) -> Result<Option<FactorState>> {
    let columns = (accounts::second_factors, accounts::factor_version, accounts::short_password);
    let found: Option<(i64, i64, bool)> = find!(conn, first(accounts::table.find(id).select(columns)))?;
    Ok(found.map(|(count, version, has_short_password)| FactorState { count, version, has_short_password }))
}

/// Records a change by which the account has `more` factors, or fewer if `more` is negative. The caller has locked the
/// account's row.
pub async fn changed(conn: &mut Conn<'_>, id: &str, more: i64) -> Result<()> {
    let account = accounts::table.filter(accounts::id.eq(id));
    let columns = (
        accounts::second_factors.eq(accounts::second_factors + more),
        accounts::factor_version.eq(accounts::factor_version + 1),
    );
    run!(conn, execute(diesel::update(account).set(columns)))?;
    news::looked_up_changed(conn, iter::once(id)).await
}

/// Records that an administrator has removed all second factors. The next sign-in says so.
pub async fn reset(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let account = accounts::table.filter(accounts::id.eq(id));
    let columns = (
        accounts::second_factors.eq(0),
        accounts::factor_version.eq(accounts::factor_version + 1),
        accounts::factor_reset_at.eq(now().nullable()),
    );
    run!(conn, execute(diesel::update(account).set(columns)))?;
    news::looked_up_changed(conn, iter::once(id)).await
}

/// Records that the person was told of the reset.
pub async fn told_of_reset(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let account = accounts::table.filter(accounts::id.eq(id));
    run!(conn, execute(diesel::update(account).set(accounts::factor_reset_at.eq(None::<Instant>))))?;
    news::looked_up_changed(conn, iter::once(id)).await
}

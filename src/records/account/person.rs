//! A person's account as the people see it who manage it, and the statements that only they need. Called by the actions
//! on people. The account's own statements are in [`account`](super).
//!
//! Invariant: a deleted account keeps its row, with nothing in it but the id. Nothing here finds it.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use diesel::{
    ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, Queryable, Selectable, SelectableHelper as _,
};

use super::{Account, EmailAddress, Role, TIME_TO_RETURN, claim_email, search_text};
use crate::{
    base::{
        db::{
            Conn, Instant, find, now, run,
            schema::{account_of_email, accounts},
        },
        error::Result,
    },
    records::{
        news,
        throttle::{Subject, count},
    },
};

/// An account with what only its managers see.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = accounts)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Person {
    #[diesel(embed)]
    pub account: Account,
    pub created_at: Instant,
    pub last_login_at: Option<Instant>,
    pub disabled_at: Option<Instant>,
    /// When the person was invited. `None` once they have chosen a password.
    pub invited_at: Option<Instant>,
    /// When the person asked for the deletion of the account.
    pub deletion_asked_at: Option<Instant>,
}

impl Person {
    /// When the account will be deleted.
    pub fn deletes_at(&self) -> Option<Instant> {
        self.deletion_asked_at.map(|at| at.plus(TIME_TO_RETURN))
    }

    /// The word for the state of the account.
    pub fn status(&self) -> &'static str {
        match () {
            () if self.is_disabled() => "disabled",
            () if self.is_invited() => "invited",
            () => "active",
        }
    }

    pub fn is_disabled(&self) -> bool {
        self.disabled_at.is_some()
    }

    /// Whether the person has not chosen a password yet.
    pub fn is_invited(&self) -> bool {
        self.invited_at.is_some()
    }

    /// Whether the account is an owner that may sign in.
    pub fn is_enabled_owner(&self) -> bool {
        let may_sign_in = !self.is_disabled() && !self.is_invited() && self.deletion_asked_at.is_none();
        self.account.role == Role::Owner && may_sign_in
    }
}

/// The person with this account id, enabled or not.
pub async fn find(conn: &mut Conn<'_>, id: &str) -> Result<Option<Person>> {
    let own = accounts::table.filter(accounts::id.eq(id)).filter(accounts::deleted_at.is_null());
    find!(conn, first(own.select(Person::as_select())))
}

/// The id of the account with this address.
pub async fn id_of(conn: &mut Conn<'_>, email_key: &str) -> Result<Option<String>> {
    let owner = account_of_email::table.find(email_key).select(account_of_email::account_id);
    find!(conn, first(owner))
}

/// The names of these accounts, by id.
pub async fn names(conn: &mut Conn<'_>, ids: &BTreeSet<&str>) -> Result<BTreeMap<String, String>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    let those = accounts::table.filter(accounts::id.eq_any(ids)).filter(accounts::deleted_at.is_null());
    let rows: Vec<(String, String)> = run!(conn, load(those.select((accounts::id, accounts::name))))?;
    Ok(rows.into_iter().collect())
}

/// Gives the account another address. `false` if another account has it.
pub async fn set_email(conn: &mut Conn<'_>, person: &Person, email: &EmailAddress) -> Result<bool> {
    let id = person.account.id.as_str();
    let old: String = run!(conn, first(accounts::table.filter(accounts::id.eq(id)).select(accounts::email_key)))?;
    if old != email.key() {
        if !claim_email(conn, email.key(), id).await? {
            return Ok(false);
        }
        release_email(conn, &old, id).await?;
    }
    let columns = (
        accounts::email.eq(email.as_str()),
        accounts::email_key.eq(email.key()),
        accounts::search.eq(search_text(&person.account.name, email.as_str())),
    );
    run!(conn, execute(diesel::update(accounts::table.filter(accounts::id.eq(id))).set(columns)))?;
    news::looked_up_changed(conn, iter::once(id)).await?;
    Ok(true)
}

/// Frees an address, and forgets the wrong passwords and codes that were tried with it.
async fn release_email(conn: &mut Conn<'_>, email_key: &str, id: &str) -> Result<()> {
    let own = account_of_email::table.filter(account_of_email::email_key.eq(email_key));
    run!(conn, execute(diesel::delete(own.filter(account_of_email::account_id.eq(id)))))?;
    let passwords = Subject::account(email_key);
    count::forget(conn, &[passwords.clone().of_codes(), passwords]).await
}

pub async fn set_role(conn: &mut Conn<'_>, id: &str, role: Role) -> Result<()> {
    let own = accounts::table.filter(accounts::id.eq(id));
    run!(conn, execute(diesel::update(own).set(accounts::role.eq(role))))?;
    news::looked_up_changed(conn, iter::once(id)).await
}

/// Sets the groups, as [`groups::joined`](super::groups::joined) returned them.
pub async fn set_groups(conn: &mut Conn<'_>, id: &str, groups: &str) -> Result<()> {
    let own = accounts::table.filter(accounts::id.eq(id));
    run!(conn, execute(diesel::update(own).set(accounts::groups.eq(groups))))?;
    news::looked_up_changed(conn, iter::once(id)).await
}

/// Empties the account's row. The caller has ended its sessions and deletes its other rows in the same transaction.
pub async fn empty(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let own = || accounts::table.filter(accounts::id.eq(id));
    let email_key: String = run!(conn, first(own().select(accounts::email_key)))?;
    release_email(conn, &email_key, id).await?;
    let personal = (
        accounts::email.eq(""),
        accounts::email_key.eq(""),
        accounts::name.eq(""),
        accounts::search.eq(""),
        accounts::groups.eq(""),
        accounts::password_hash.eq(""),
        accounts::role.eq(Role::Member),
        accounts::time_zone.eq(None::<String>),
        accounts::last_login_at.eq(None::<Instant>),
        accounts::invited_at.eq(None::<Instant>),
        accounts::deletion_asked_at.eq(None::<Instant>),
        accounts::deletion_by.eq(None::<String>),
        accounts::second_factors.eq(0),
        accounts::short_password.eq(false),
        accounts::factor_reset_at.eq(None::<Instant>),
    );
    let times = (
        accounts::created_at.eq(now()),
        accounts::password_changed_at.eq(now()),
        accounts::disabled_at.eq(now().nullable()),
        accounts::deleted_at.eq(now().nullable()),
        accounts::revision.eq(0),
        accounts::drafts_floor.eq(0),
    );
    run!(conn, execute(diesel::update(own()).set((personal, times))))?;
    news::looked_up_changed(conn, iter::once(id)).await
}

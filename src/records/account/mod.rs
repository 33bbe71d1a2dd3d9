//! A person who may sign in: the row, and what is done with it. Whether somebody is that person is found out by
//! [`proof`]; passwords are chosen by the rules of [`strength`], those of new accounts through [`choice`], and hashed
//! by the [`hasher`].
//!
//! Invariant: `email_key` is the canonical form of the address, and unique by its row in `account_of_email`.

pub mod hasher;
pub mod leaked;
pub mod password;
pub mod strength;
pub mod turns;

use diesel::{ExpressionMethods as _, Insertable, QueryDsl as _, Queryable, Selectable, SelectableHelper as _};
use serde::Serialize;

pub use crate::base::email::EmailAddress;
use crate::{
    base::{
        db::{
            Conn, ForUpdate, Instant, find, now, run,
            schema::{account_of_email, accounts},
            words,
        },
        error::{Error, Result},
        secret, text,
    },
    records::{
        device,
        throttle::{Subject, count},
    },
};

words! {
    /// What a person may do.
    pub enum Role {
        /// Everything; there is always one.
        Owner = "owner",
        /// Looks after accounts.
        Admin = "admin",
        /// Uses the product.
        Member = "member",
    }
}

/// A person, as handlers and pages see it. The password's hash is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = accounts)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Account {
    /// Names the account; opens nothing.
    pub id: String,
    /// As it is shown: as it was typed, but with the domain in its own letters.
    pub email: String,
    /// How the person is greeted.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// The time zone in which the person reads times, as a browser said at a sign-in.
    #[serde(skip)]
    pub time_zone: Option<String>,
}

/// What a login is checked against.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = accounts)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Credentials {
    /// Who it is.
    #[diesel(embed)]
    pub account: Account,
    /// Argon2id, in the PHC format.
    pub password_hash: String,
    /// Since when the account has this password.
    pub password_changed_at: Instant,
    /// Since when the account may not sign in.
    pub disabled_at: Option<Instant>,
}

/// A person to be made.
#[derive(Insertable)]
#[diesel(table_name = accounts)]
struct AccountColumns<'a> {
    id: &'a str,
    email: &'a str,
    email_key: &'a str,
    name: &'a str,
    role: Role,
    password_hash: &'a str,
}

/// What a new account is made from. Checked by [`EmailAddress`] and [`display_name`] before.
#[derive(Clone)]
pub struct New {
    /// The address, checked.
    pub email: EmailAddress,
    /// The name, checked; empty for the address's first part.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// Argon2id, in the PHC format.
    pub password_hash: String,
}

/// Makes an account; `None` when the address is taken.
pub async fn create(conn: &mut Conn<'_>, new: &New) -> Result<Option<Account>> {
    let id = secret::random_name("acc_")?;
    let name = if new.name.is_empty() { new.email.local_part() } else { &new.name };
    let row = AccountColumns {
        id: &id,
        email: new.email.as_str(),
        email_key: new.email.key(),
        name,
        role: new.role,
        password_hash: &new.password_hash,
    };
    if !claim_email(conn, new.email.key(), &id).await? {
        return Ok(None);
    }
    let times = (accounts::created_at.eq(now()), accounts::password_changed_at.eq(now()));
    run!(conn, get_result(diesel::insert_into(accounts::table).values((row, times)).returning(Account::as_returning())))
        .map(Some)
}

/// Makes an address the account's own; `false` when it is another's. Addresses are unique by this table alone.
async fn claim_email(conn: &mut Conn<'_>, email_key: &str, id: &str) -> Result<bool> {
    let row = (account_of_email::email_key.eq(email_key), account_of_email::account_id.eq(id));
    let free = diesel::insert_into(account_of_email::table).values(row).on_conflict_do_nothing();
    Ok(run!(conn, execute(free))? == 1)
}

/// Keeps the time zone in which the person reads times, for browsers that do not tell theirs. The caller has checked
/// that the name is a zone's.
pub async fn keep_time_zone(conn: &mut Conn<'_>, id: &str, zone: &str) -> Result<()> {
    let account = accounts::table.filter(accounts::id.eq(id));
    run!(conn, execute(diesel::update(account).set(accounts::time_zone.eq(Some(zone))))).map(drop)
}

/// The account of an address and what its password is checked against. Takes the same two statements whether there is
/// an account or not.
pub async fn find_credentials(conn: &mut Conn<'_>, email_key: &str) -> Result<Option<Credentials>> {
    let owner = account_of_email::table.find(email_key).select(account_of_email::account_id);
    let owner: Option<String> = find!(conn, first(owner))?;
    let account = accounts::table.find(owner.unwrap_or_default());
    find!(conn, first(account.select(Credentials::as_select())))
}

/// Locks the account's row for this transaction if its password has not changed since the one that was checked, and the
/// account is enabled, so that a new password and a login with the old one cannot both succeed. `false` when it is not.
/// The hash is not compared: another login may just have replaced it by a newer hash of the same password.
pub async fn admit(conn: &mut Conn<'_>, id: &str, password_changed_at: Instant) -> Result<bool> {
    let unchanged = accounts::table
        .filter(accounts::id.eq(id))
        .filter(accounts::password_changed_at.eq(password_changed_at))
        .filter(accounts::disabled_at.is_null());
    let locked: Vec<String> = run!(conn, load(ForUpdate::wait(unchanged.select(accounts::id))))?;
    Ok(!locked.is_empty())
}

/// Notes that the person has signed in just now. Only a login does: a confirmation may come to nothing because its
/// session has ended.
pub async fn note_login(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let account = accounts::table.filter(accounts::id.eq(id));
    let at = accounts::last_login_at.eq(diesel::NullableExpressionMethods::nullable(now()));
    run!(conn, execute(diesel::update(account).set(at))).map(drop)
}

/// Whether there is any account.
pub async fn any(conn: &mut Conn<'_>) -> Result<bool> {
    let one: Option<String> = find!(conn, first(accounts::table.select(accounts::id)))?;
    Ok(one.is_some())
}

/// Locks the account's row for this transaction, as a login does, so that what is done to its sessions and devices is
/// done one after the other.
pub async fn lock(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let row = accounts::table.filter(accounts::id.eq(id)).select(accounts::id);
    let _: Vec<String> = run!(conn, load(ForUpdate::wait(row)))?;
    Ok(())
}

/// Replaces the hash of a password by another of the same password, unless the password has changed meanwhile.
pub async fn rehash(conn: &mut Conn<'_>, id: &str, old: &str, new: &str) -> Result<()> {
    let unchanged = accounts::table.filter(accounts::id.eq(id)).filter(accounts::password_hash.eq(old));
    run!(conn, execute(diesel::update(unchanged).set(accounts::password_hash.eq(new)))).map(drop)
}

/// Since when the account has its present password.
pub async fn password_age(conn: &mut Conn<'_>, id: &str) -> Result<Option<Instant>> {
    find!(conn, first(accounts::table.find(id).select(accounts::password_changed_at)))
}

/// Gives the account another name, in a transaction that has locked its row; the name it had.
pub async fn rename(conn: &mut Conn<'_>, id: &str, name: &str) -> Result<String> {
    let account = || accounts::table.filter(accounts::id.eq(id));
    let was: Option<String> = find!(conn, first(account().select(accounts::name)))?;
    let was = was.ok_or(Error::NotFound)?;
    run!(conn, execute(diesel::update(account()).set(accounts::name.eq(name))))?;
    Ok(was)
}

/// Gives the account a new password, takes from its browsers the counts of their own, and forgets the wrong passwords
/// that were counted for the account: they were tries at the old one. The caller ends its sessions in the same
/// transaction.
pub async fn set_password(conn: &mut Conn<'_>, id: &str, password_hash: &str) -> Result<()> {
    let account = accounts::table.filter(accounts::id.eq(id));
    let key: Option<String> = find!(
        conn,
        get_result(
            diesel::update(account)
                .set((accounts::password_hash.eq(password_hash), accounts::password_changed_at.eq(now())))
                .returning(accounts::email_key)
        )
    )?;
    if let Some(key) = key {
        count::clear(conn, &Subject::account(&key)).await?;
    }
    device::doubt_all(conn, id).await
}

/// Whether somebody else than this account is an owner who may sign in.
pub async fn has_other_owner(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let other: Option<String> = find!(
        conn,
        first(
            accounts::table
                .filter(accounts::role.eq(Role::Owner))
                .filter(accounts::disabled_at.is_null())
                .filter(accounts::id.ne(id))
                .select(accounts::id)
        )
    )?;
    Ok(other.is_some())
}

/// Forbids an account to sign in. The caller ends its sessions in the same transaction. Whether it was allowed before.
pub async fn disable(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let enabled = accounts::table.filter(accounts::id.eq(id)).filter(accounts::disabled_at.is_null());
    let set = accounts::disabled_at.eq(diesel::NullableExpressionMethods::nullable(now()));
    Ok(run!(conn, execute(diesel::update(enabled).set(set)))? == 1)
}

/// Allows an account to sign in again. Whether it was forbidden before.
pub async fn enable(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let disabled = accounts::table.filter(accounts::id.eq(id)).filter(accounts::disabled_at.is_not_null());
    Ok(run!(conn, execute(diesel::update(disabled).set(accounts::disabled_at.eq(None::<Instant>))))? == 1)
}

/// All accounts, by address, and since when each is disabled.
pub async fn list(conn: &mut Conn<'_>) -> Result<Vec<(Account, Option<Instant>)>> {
    run!(conn, load(accounts::table.select((Account::as_select(), accounts::disabled_at)).order(accounts::email_key)))
}

/// Whether anybody owns this instance yet.
pub async fn has_owner(conn: &mut Conn<'_>) -> Result<bool> {
    let owner: Option<String> =
        find!(conn, first(accounts::table.filter(accounts::role.eq(Role::Owner)).select(accounts::id)))?;
    Ok(owner.is_some())
}

/// A name that can be shown: without the spaces around it, at most 80 characters. Empty is for the caller to fill.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong, in the words of a form.
pub fn display_name(typed: &str) -> Result<String> {
    let name = typed.trim();
    if name.chars().count() > 80 {
        return Err(Error::Invalid("A name can have at most 80 characters.".into()));
    }
    if !name.is_empty() && !text::is_name(name) {
        return Err(Error::Invalid("Choose a name that can be read.".into()));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(display_name(" Kim ").unwrap(), "Kim");
        assert!(display_name(&"x".repeat(81)).is_err() && display_name("a\u{0}b").is_err());
    }
}

//! Accounts: their rows, and the statements that read and change them. Called by the actions and the commands.
//! [`password_proof`](crate::actions::password_proof) checks passwords, [`new_password`](crate::actions::new_password)
//! sets those of new accounts by the rules of [`strength`], and the [`hasher`] hashes them.
//!
//! Invariant: `email_key` is the canonical form of the address. Its row in `account_of_email` makes it unique.

pub mod factors;
pub mod groups;
pub mod hasher;
pub mod in_order;
pub mod invited;
pub mod leaked;
pub mod leaving;
pub mod password;
pub mod person;
pub mod search;
pub mod strength;
pub mod turns;

use std::collections::HashMap;
use std::iter;
use std::time::Duration;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, Insertable, NullableExpressionMethods as _, QueryDsl as _,
    Queryable, Selectable, SelectableHelper as _, dsl::sql, expression::SqlLiteral, sql_types::Bool,
};
use serde::Serialize;

use self::hasher::ChosenPassword;
pub use crate::base::email::EmailAddress;
use crate::{
    base::{
        db::{
            Conn, ForUpdate, Instant, before_now, find, now, run,
            schema::{account_of_email, accounts},
            words,
        },
        error::{Error, Result},
        secret, text,
    },
    records::{
        device, news,
        throttle::{Subject, count},
    },
};

/// How long a person has to change their mind after they asked for the deletion of their account.
pub const TIME_TO_RETURN: Duration = Duration::from_secs(14 * 86_400);

words! {
    /// What an account may do.
    pub enum Role {
        /// May do everything. There is always an owner.
        Owner = "owner",
        /// Manages people and apps.
        Admin = "admin",
        /// Uses the product.
        Member = "member",
    }
}

impl Role {
    /// The word for people, with a capital.
    pub fn label(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Admin => "Admin",
            Self::Member => "Member",
        }
    }

    /// Whether the role may manage people and apps.
    pub fn manages(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }

    /// Whether an account with this role may act on an account with the other role.
    pub fn is_above(self, other: Self) -> bool {
        let rank = |role| match role {
            Self::Owner => 2,
            Self::Admin => 1,
            Self::Member => 0,
        };
        rank(self) > rank(other)
    }

    /// Whether an account with this role may give the other role to somebody. An owner may make other owners.
    pub fn may_give(self, other: Self) -> bool {
        self == Self::Owner || self.is_above(other)
    }
}

/// An account as handlers and pages see it, without the password hash.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = accounts)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Account {
    /// Not secret: it grants no access.
    pub id: String,
    /// For display: as typed, except that an internationalized domain is shown in Unicode.
    pub email: String,
    /// The display name.
    pub name: String,
    pub role: Role,
    /// The time zone for showing times, as a browser sent it at a sign-in.
    #[serde(skip)]
    pub time_zone: Option<String>,
    /// The groups, divided by commas.
    #[serde(skip)]
    pub groups: String,
    /// How many second factors the account has: its authenticator app and its passkeys.
    #[serde(skip)]
    pub second_factors: i64,
    /// When an administrator removed the second factors, if the person has not been told yet.
    #[serde(skip)]
    pub factor_reset_at: Option<Instant>,
}

impl Account {
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.split(',').filter(|group| !group.is_empty())
    }

    /// Whether the person signs in with a second factor.
    pub fn has_second_factor(&self) -> bool {
        self.second_factors > 0
    }
}

/// What a login is checked against: the account, its password hash, and whether it is enabled.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = accounts)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Credentials {
    #[diesel(embed)]
    pub account: Account,
    /// Argon2id, in the PHC format.
    pub password_hash: String,
    /// When this password was set.
    pub password_changed_at: Instant,
    /// When the account was disabled. `None` if it may sign in.
    pub disabled_at: Option<Instant>,
}

#[derive(Insertable)]
#[diesel(table_name = accounts)]
struct AccountColumns<'a> {
    id: &'a str,
    email: &'a str,
    email_key: &'a str,
    name: &'a str,
    role: Role,
    password_hash: &'a str,
    search: String,
}

/// A new account. The caller has checked the address with [`EmailAddress`] and the name with [`display_name`].
#[derive(Clone)]
pub struct New {
    pub email: EmailAddress,
    /// If empty, the local part of the address is used.
    pub name: String,
    pub role: Role,
    /// Argon2id, in the PHC format.
    pub password_hash: String,
}

/// Creates an account. `None` if the address is taken.
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
        search: search_text(name, new.email.as_str()),
    };
    if !claim_email(conn, new.email.key(), &id).await? {
        return Ok(None);
    }
    let times = (accounts::created_at.eq(now()), accounts::password_changed_at.eq(now()));
    run!(conn, get_result(diesel::insert_into(accounts::table).values((row, times)).returning(Account::as_returning())))
        .map(Some)
}

/// The text by which an account is found in the list of people.
fn search_text(name: &str, email: &str) -> String {
    format!("{} {}", name.to_lowercase(), email.to_lowercase())
}

/// Assigns an address to an account. `false` if another account has it. Only this table makes addresses unique.
async fn claim_email(conn: &mut Conn<'_>, email_key: &str, id: &str) -> Result<bool> {
    let row = (account_of_email::email_key.eq(email_key), account_of_email::account_id.eq(id));
    let free = diesel::insert_into(account_of_email::table).values(row).on_conflict_do_nothing();
    Ok(run!(conn, execute(free))? == 1)
}

/// Stores the account's time zone, for browsers that do not send theirs. The caller has checked that `zone` names a
/// time zone.
pub async fn keep_time_zone(conn: &mut Conn<'_>, id: &str, zone: &str) -> Result<()> {
    let account = accounts::table.filter(accounts::id.eq(id));
    run!(conn, execute(diesel::update(account).set(accounts::time_zone.eq(Some(zone)))))?;
    news::looked_up_changed(conn, iter::once(id)).await
}

/// The credentials of the account with this address. Runs the same two statements whether or not the account exists, so
/// that the time does not reveal it.
pub async fn find_credentials(conn: &mut Conn<'_>, email_key: &str) -> Result<Option<Credentials>> {
    let owner = account_of_email::table.find(email_key).select(account_of_email::account_id);
    let owner: Option<String> = find!(conn, first(owner))?;
    let account = accounts::table.find(owner.unwrap_or_default());
    find!(conn, first(account.select(Credentials::as_select())))
}

/// Whether a person with the right password may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    No,
    Yes,
    /// Yes. The account is going to be deleted, unless the caller [keeps](keep) it.
    Leaving,
}

/// Locks the account's row for this transaction if the account is enabled, its time to return is not over, and its
/// password is still the one that was checked. Returns [`Admission::No`] otherwise. So a password change and a login with the old password cannot both succeed.
/// Compares the time of the password and not the hash, because another login may have rehashed the same password.
pub async fn admit(conn: &mut Conn<'_>, id: &str, password_changed_at: Instant) -> Result<Admission> {
    let unchanged = accounts::table
        .filter(accounts::id.eq(id))
        .filter(accounts::password_changed_at.eq(password_changed_at))
        .filter(accounts::disabled_at.is_null())
        .filter(
            accounts::deletion_asked_at
                .is_null()
                .or(accounts::deletion_asked_at.gt(before_now(TIME_TO_RETURN).nullable())),
        );
    let locked: Vec<Option<Instant>> =
        run!(conn, load(ForUpdate::wait(unchanged.select(accounts::deletion_asked_at))))?;
    match locked.first() {
        None => Ok(Admission::No),
        Some(None) => Ok(Admission::Yes),
        Some(Some(_)) => Ok(Admission::Leaving),
    }
}

/// Like [`admit`], for a person who proves who they are with a link.
pub async fn admit_by_link(conn: &mut Conn<'_>, id: &str) -> Result<Admission> {
    let age = password_age(conn, id).await?;
    admit(conn, id, age.unwrap_or(Instant::from_micros(0))).await
}

/// Keeps an account that was going to be deleted. `false` if it was not. The transaction must have locked its row.
pub async fn keep(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let own = accounts::table.filter(accounts::id.eq(id));
    let asked: Option<Option<Instant>> = find!(conn, first(own.select(accounts::deletion_asked_at)))?;
    if asked.flatten().is_none() {
        return Ok(false);
    }
    run!(conn, execute(diesel::update(own).set(accounts::deletion_asked_at.eq(None::<Instant>))))?;
    Ok(true)
}

/// Sets the time of the last login to now. Only logins call this, because a confirmation can still fail if its session
/// has ended.
pub async fn note_login(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let account = accounts::table.filter(accounts::id.eq(id));
    let at = accounts::last_login_at.eq(now().nullable());
    run!(conn, execute(diesel::update(account).set(at))).map(drop)
}

/// The account with this id, if it is enabled.
pub async fn one(conn: &mut Conn<'_>, id: &str) -> Result<Option<Account>> {
    let enabled = accounts::table.filter(accounts::id.eq(id)).filter(accounts::disabled_at.is_null());
    find!(conn, first(enabled.select(Account::as_select())))
}

/// The e-mail addresses of these accounts by id, also of disabled ones.
pub async fn emails(conn: &mut Conn<'_>, ids: &[&str]) -> Result<HashMap<String, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(String, String)> =
        run!(conn, load(accounts::table.filter(accounts::id.eq_any(ids)).select((accounts::id, accounts::email))))?;
    Ok(found.into_iter().collect())
}

/// Whether an account exists.
pub async fn any(conn: &mut Conn<'_>) -> Result<bool> {
    let existing = accounts::table.filter(accounts::deleted_at.is_null()).select(accounts::id);
    let any: Option<String> = find!(conn, first(existing))?;
    Ok(any.is_some())
}

/// Locks the account's row for this transaction. Logins lock it too, so that changes to the account's sessions and
/// devices happen one after another.
pub async fn lock(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let row = accounts::table.filter(accounts::id.eq(id)).select(accounts::id);
    let _: Vec<String> = run!(conn, load(ForUpdate::wait(row)))?;
    Ok(())
}

/// Replaces a password hash with a new hash of the same password, unless the password was changed meanwhile.
pub async fn rehash(conn: &mut Conn<'_>, id: &str, old: &str, new: &str) -> Result<()> {
    let unchanged = accounts::table.filter(accounts::id.eq(id)).filter(accounts::password_hash.eq(old));
    run!(conn, execute(diesel::update(unchanged).set(accounts::password_hash.eq(new)))).map(drop)
}

/// When the account's current password was set.
pub async fn password_age(conn: &mut Conn<'_>, id: &str) -> Result<Option<Instant>> {
    find!(conn, first(accounts::table.find(id).select(accounts::password_changed_at)))
}

/// Renames the account and returns its old name. The transaction must have locked the account's row.
pub async fn rename(conn: &mut Conn<'_>, id: &str, name: &str) -> Result<String> {
    let account = || accounts::table.filter(accounts::id.eq(id));
    let was: Option<(String, String)> = find!(conn, first(account().select((accounts::name, accounts::email))))?;
    let (was, email) = was.ok_or(Error::NotFound)?;
    let columns = (accounts::name.eq(name), accounts::search.eq(search_text(name, &email)));
    run!(conn, execute(diesel::update(account()).set(columns)))?;
    news::looked_up_changed(conn, iter::once(id)).await?;
    Ok(was)
}

/// Sets a new password. Resets the account's count of wrong passwords, because they were tries at the old password, and
/// withdraws the separate counts of its browsers. An invited account becomes an ordinary one. The caller ends the
/// account's sessions in the same transaction.
///
/// # Errors
/// [`Error::Invalid`] if the password is too short for an account without a second factor, and this is one.
pub async fn set_password(conn: &mut Conn<'_>, id: &str, chosen: &ChosenPassword) -> Result<()> {
    let account = accounts::table.filter(accounts::id.eq(id));
    let updated: Option<(String, i64)> = find!(
        conn,
        get_result(
            diesel::update(account)
                .set((
                    accounts::password_hash.eq(&chosen.hash),
                    accounts::short_password.eq(chosen.needed_alone.is_some()),
                    accounts::password_changed_at.eq(now()),
                    accounts::invited_at.eq(None::<Instant>),
                ))
                .returning((accounts::email_key, accounts::second_factors))
        )
    )?;
    news::looked_up_changed(conn, iter::once(id)).await?;
    if let Some((key, second_factors)) = updated {
        if let (Some(needed), 0) = (chosen.needed_alone, second_factors) {
            return Err(strength::too_short(needed));
        }
        count::clear(conn, &Subject::account(&key)).await?;
    }
    device::doubt_all(conn, id).await
}

/// Whether another account is an owner who can sign in, and will not be deleted soon.
pub async fn has_other_owner(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let other: Option<String> = find!(
        conn,
        first(
            accounts::table
                .filter(is_owner())
                .filter(accounts::disabled_at.is_null())
                .filter(accounts::deletion_asked_at.is_null())
                .filter(accounts::invited_at.is_null())
                .filter(accounts::id.ne(id))
                .select(accounts::id)
        )
    )?;
    Ok(other.is_some())
}

/// Disables an account. Returns whether it was enabled. The caller ends its sessions in the same transaction.
pub async fn disable(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let enabled = accounts::table.filter(accounts::id.eq(id)).filter(accounts::disabled_at.is_null());
    // The version makes the first steps of sign-ins void, also once the account is enabled again.
    let set = (accounts::disabled_at.eq(now().nullable()), accounts::factor_version.eq(accounts::factor_version + 1));
    Ok(run!(conn, execute(diesel::update(enabled).set(set)))? == 1)
}

/// Enables an account. Returns whether it was disabled.
pub async fn enable(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let disabled = accounts::table.filter(accounts::id.eq(id)).filter(accounts::disabled_at.is_not_null());
    Ok(run!(conn, execute(diesel::update(disabled).set(accounts::disabled_at.eq(None::<Instant>))))? == 1)
}

/// Whether this instance has an owner, enabled or not. Somebody who was invited as an owner is not one yet.
pub async fn has_owner(conn: &mut Conn<'_>) -> Result<bool> {
    let owners = accounts::table.filter(is_owner()).filter(accounts::invited_at.is_null());
    let owner: Option<String> = find!(conn, first(owners.select(accounts::id)))?;
    Ok(owner.is_some())
}

/// SQL condition: the account is an owner. Written as in the index of owners, which a parameter would not match.
fn is_owner() -> SqlLiteral<Bool> {
    sql("accounts.role = 'owner'")
}

/// Trims a name and checks that it is printable and has at most 80 characters. Accepts an empty name, which the caller
/// replaces.
///
/// # Errors
/// [`Error::Invalid`] with a message for a form.
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

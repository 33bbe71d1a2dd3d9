//! Invited accounts: an address, a name, a role and groups, but no password yet. Called by `actions::links`.
//!
//! Invariant: nobody can sign in to an invited account. [`set_password`](super::set_password) makes it an ordinary one.

use std::iter;

use diesel::{
    ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _, dsl::sql,
    expression::SqlLiteral, sql_types::Bool,
};

use super::{Account, EmailAddress, Role, claim_email, password, search_text};
use crate::{
    base::{
        db::{Conn, now, run, schema::accounts},
        error::Result,
        secret,
    },
    records::news,
};

/// What an invitation says about the person. The caller has checked the fields.
#[derive(Debug, Clone)]
pub struct Invitee {
    pub email: EmailAddress,
    pub name: String,
    pub role: Role,
    /// Divided by commas.
    pub groups: String,
}

/// Creates an account without a password. `None` if the address is taken.
pub async fn create(conn: &mut Conn<'_>, invitee: &Invitee) -> Result<Option<Account>> {
    let id = secret::random_name("acc_")?;
    if !claim_email(conn, invitee.email.key(), &id).await? {
        return Ok(None);
    }
    let row = (
        accounts::id.eq(&id),
        accounts::email.eq(invitee.email.as_str()),
        accounts::email_key.eq(invitee.email.key()),
        accounts::name.eq(&invitee.name),
        accounts::role.eq(invitee.role),
        accounts::groups.eq(&invitee.groups),
        accounts::search.eq(search_text(&invitee.name, invitee.email.as_str())),
        accounts::password_hash.eq(password::of_nobody()?),
        accounts::created_at.eq(now()),
        accounts::password_changed_at.eq(now()),
        accounts::invited_at.eq(now().nullable()),
    );
    run!(conn, get_result(diesel::insert_into(accounts::table).values(row).returning(Account::as_returning())))
        .map(Some)
}

/// Changes what an invitation says about the person. The transaction must have locked the account's row.
pub async fn change(conn: &mut Conn<'_>, id: &str, invitee: &Invitee) -> Result<()> {
    let invited = accounts::table.filter(accounts::id.eq(id)).filter(accounts::invited_at.is_not_null());
    let set = (
        accounts::name.eq(&invitee.name),
        accounts::search.eq(search_text(&invitee.name, invitee.email.as_str())),
        accounts::role.eq(invitee.role),
        accounts::groups.eq(&invitee.groups),
        accounts::invited_at.eq(now().nullable()),
    );
    run!(conn, execute(diesel::update(invited).set(set)))?;
    news::looked_up_changed(conn, iter::once(id)).await
}

/// The most admins who are told at once that somebody asks for help.
const MOST_TOLD: i64 = 50;

/// SQL condition: the account is an owner or an admin. Written as in the index of them, which a parameter would not match.
fn manages() -> SqlLiteral<Bool> {
    sql("accounts.role <> 'member'")
}

/// The ids of enabled owners and admins.
pub async fn helpers(conn: &mut Conn<'_>) -> Result<Vec<String>> {
    let enabled = accounts::table
        .filter(manages())
        .filter(accounts::disabled_at.is_null())
        .filter(accounts::invited_at.is_null());
    run!(conn, load(enabled.order(accounts::id).limit(MOST_TOLD).select(accounts::id)))
}

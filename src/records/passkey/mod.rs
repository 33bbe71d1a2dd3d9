//! The passkeys of accounts. Called by `actions::passkeys`, which checks what browsers answer, and by the pages that list
//! them. [`listed`] is what people and programs see of a passkey.
//!
//! Invariant: `account_of_passkey` makes a credential id unique, so each passkey has one account. A change of an account's
//! passkeys goes through [`factors::changed`]; a use is not a change.

pub mod listed;

use diesel::{
    ExpressionMethods as _, Insertable, NullableExpressionMethods as _, QueryDsl as _, Queryable, Selectable,
    SelectableHelper as _, dsl::count_star,
};
use sha2::{Digest as _, Sha256};

use crate::{
    base::{
        db::{
            Conn, Instant, find, now, run,
            schema::{account_of_passkey, accounts, passkeys},
        },
        error::{Error, Result},
        secret, text,
    },
    records::account::factors,
};

/// The most passkeys of an account.
pub const MOST: usize = 20;
/// The most characters of a name.
const LONGEST_NAME: usize = 60;

/// A passkey of an account.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = passkeys)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Passkey {
    /// Not secret, and not the credential's id.
    pub id: String,
    pub credential_id: Vec<u8>,
    /// The public key with its flags and counter, for [`webauthn`](crate::base::webauthn).
    pub data: String,
    pub name: String,
    pub created_at: Instant,
    pub last_used_at: Option<Instant>,
    /// The name of the device that it was last used on, at that time.
    pub last_used_on: Option<String>,
    /// When its counter did not go up, so that there may be a copy.
    pub warned_at: Option<Instant>,
    /// The host that it was made for.
    pub rp_id: String,
}

/// A passkey to add.
#[derive(Debug, Clone)]
pub struct New {
    pub credential_id: Vec<u8>,
    pub data: String,
    pub name: String,
    pub rp_id: String,
}

#[derive(Insertable)]
#[diesel(table_name = passkeys)]
struct NewRow<'a> {
    account_id: &'a str,
    id: &'a str,
    credential_id: &'a [u8],
    data: &'a str,
    name: &'a str,
    rp_id: &'a str,
}

/// Checks the name that a person chose for a passkey, and trims it.
///
/// # Errors
/// [`Error::Invalid`] for a name that cannot be shown.
pub fn check_name(typed: &str) -> Result<String> {
    let name = typed.trim();
    if name.chars().count() > LONGEST_NAME || !text::is_name(name) {
        return Err(Error::Invalid(format!(
            "the name of a passkey must have 1 to {LONGEST_NAME} printable characters"
        )));
    }
    Ok(name.to_owned())
}

/// The account's passkeys, oldest first.
pub async fn all(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Passkey>> {
    let own = passkeys::table.filter(passkeys::account_id.eq(account_id)).order((passkeys::created_at, passkeys::id));
    run!(conn, load(own.select(Passkey::as_select())))
}

pub async fn one(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Passkey>> {
    let own = passkeys::table.filter(passkeys::account_id.eq(account_id)).filter(passkeys::id.eq(id));
    find!(conn, first(own.select(Passkey::as_select())))
}

/// The account that a credential belongs to, and the id of the passkey.
pub async fn owner(conn: &mut Conn<'_>, credential_id: &[u8]) -> Result<Option<(String, String)>> {
    let owner = account_of_passkey::table.find(hash(credential_id));
    find!(conn, first(owner.select((account_of_passkey::account_id, account_of_passkey::passkey_id))))
}

/// Adds a passkey. `None` if an account has this credential already. The caller has locked the account's row, and checked
/// that the account has fewer than [`MOST`].
pub async fn add(conn: &mut Conn<'_>, account_id: &str, new: &New) -> Result<Option<Passkey>> {
    if owner(conn, &new.credential_id).await?.is_some() {
        return Ok(None);
    }
    let id = secret::random_name("pk_")?;
    let row = NewRow {
        account_id,
        id: &id,
        credential_id: &new.credential_id,
        data: &new.data,
        name: &new.name,
        rp_id: &new.rp_id,
    };
    run!(conn, execute(diesel::insert_into(passkeys::table).values((row, passkeys::created_at.eq(now())))))?;
    let claim = (
        account_of_passkey::credential_hash.eq(hash(&new.credential_id)),
        account_of_passkey::account_id.eq(account_id),
        account_of_passkey::passkey_id.eq(&id),
    );
    // Two accounts that add the same credential at once are not a case that a browser causes: the second one fails.
    run!(conn, execute(diesel::insert_into(account_of_passkey::table).values(claim)))?;
    factors::changed(conn, account_id, 1).await?;
    one(conn, account_id, &id).await
}

/// Stores what a right answer changed, and when and on which device the passkey was used.
pub async fn note_use(conn: &mut Conn<'_>, account_id: &str, id: &str, data: &str, device: Option<&str>) -> Result<()> {
    let own = passkeys::table.filter(passkeys::account_id.eq(account_id)).filter(passkeys::id.eq(id));
    let columns =
        (passkeys::data.eq(data), passkeys::last_used_at.eq(now().nullable()), passkeys::last_used_on.eq(device));
    run!(conn, execute(diesel::update(own).set(columns))).map(drop)
}

/// Records that the person was warned of a copy of this passkey. `false` if they were warned before.
pub async fn note_warning(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<bool> {
    let own = passkeys::table.filter(passkeys::account_id.eq(account_id)).filter(passkeys::id.eq(id));
    let first = own.filter(passkeys::warned_at.is_null());
    Ok(run!(conn, execute(diesel::update(first).set(passkeys::warned_at.eq(now().nullable()))))? == 1)
}

/// Gives the passkey another name. Returns the old one, or `None` if the account has no such passkey. The caller has locked
/// the account's row.
pub async fn rename(conn: &mut Conn<'_>, account_id: &str, id: &str, name: &str) -> Result<Option<String>> {
    let Some(was) = one(conn, account_id, id).await? else { return Ok(None) };
    let own = passkeys::table.filter(passkeys::account_id.eq(account_id)).filter(passkeys::id.eq(id));
    run!(conn, execute(diesel::update(own).set(passkeys::name.eq(name))))?;
    Ok(Some(was.name))
}

/// Removes a passkey. `None` if the account has no such passkey. The caller has locked the account's row.
pub async fn remove(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Passkey>> {
    let Some(removed) = one(conn, account_id, id).await? else { return Ok(None) };
    run!(conn, execute(diesel::delete(account_of_passkey::table.find(hash(&removed.credential_id)))))?;
    let own = passkeys::table.filter(passkeys::account_id.eq(account_id)).filter(passkeys::id.eq(id));
    run!(conn, execute(diesel::delete(own)))?;
    factors::changed(conn, account_id, -1).await?;
    Ok(Some(removed))
}

/// How many passkeys were made for another host than this one. Reads the whole table: only a start and `doctor` call it.
pub async fn for_other_hosts(conn: &mut Conn<'_>, rp_id: &str) -> Result<i64> {
    run!(conn, get_result(passkeys::table.filter(passkeys::rp_id.ne(rp_id)).select(count_star())))
}

/// Records that the person is offered to make a passkey. `false` if they were offered before, or have one.
pub async fn offer(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    let account = accounts::table.filter(accounts::id.eq(account_id)).filter(accounts::second_factors.eq(0));
    let first = account.filter(accounts::passkey_offered_at.is_null());
    Ok(run!(conn, execute(diesel::update(first).set(accounts::passkey_offered_at.eq(now().nullable()))))? == 1)
}

fn hash(credential_id: &[u8]) -> Vec<u8> {
    Sha256::digest(credential_id).to_vec()
}

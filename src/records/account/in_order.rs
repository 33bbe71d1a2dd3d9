//! All accounts in the order of their addresses, in portions. Called by commands that list or export them.
//!
//! Invariant: no statement reads more than a portion, so that each ends within its time limit, however many accounts there
//! are. Portions are read one after another, so an account whose address changes in between
//! may be missing or appear twice.

use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use super::Account;
use crate::base::{
    db::{Conn, Instant, run, schema::accounts},
    error::Result,
};

/// Maximum number of accounts in a portion.
const PORTION: i64 = 1_000;

/// An account, the time when it was disabled, and its address key.
pub type Entry = (Account, Option<Instant>, String);

/// The next portion of accounts after an address key.
#[diesel::dsl::auto_type(no_type_alias)]
fn portion<'a>(after: &'a str) -> _ {
    let living = accounts::table.filter(accounts::deleted_at.is_null());
    let limit: i64 = PORTION;
    living.filter(accounts::email_key.gt(after)).order(accounts::email_key).limit(limit)
}

/// The next portion of accounts after the address key `after`, in order of the keys.
pub async fn list_after(conn: &mut Conn<'_>, after: &str) -> Result<Vec<Entry>> {
    run!(conn, load(portion(after).select((Account::as_select(), accounts::disabled_at, accounts::email_key))))
}

/// The last address key of the portion after `after`. `None` if there is no further account.
pub async fn end_after(conn: &mut Conn<'_>, after: &str) -> Result<Option<String>> {
    let mut keys: Vec<String> = run!(conn, load(portion(after).select(accounts::email_key)))?;
    Ok(keys.pop())
}

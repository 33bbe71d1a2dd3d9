//! Recomputes the keys of stored e-mail addresses in the canonical form of [`EmailAddress`]. SQL cannot compute this
//! form, so this step runs before the migration that marks it as done, under the same lock.
//!
//! Invariant: if two accounts would get the same key, nothing changes.

use std::collections::HashMap;

use crate::base::{
    email::EmailAddress,
    error::{Error, Result},
};

/// The migration that marks this step as done.
const MARKER: &str = "20261128000010";

/// Whether the step still has to run, given the applied migrations. A new database has no addresses, so it skips the
/// step.
pub(super) fn are_due(applied: &[String]) -> bool {
    !applied.is_empty() && !applied.iter().any(|version| version == MARKER)
}

/// An account's id, its address as shown, and the address's key.
pub(super) type Stored = (String, String, String);

/// The accounts whose key changes, with their new keys. An address that is no longer valid keeps its old key.
///
/// # Errors
/// [`Error::Conflict`] naming every pair of accounts that would share a key.
pub(super) fn changed(accounts: Vec<Stored>) -> Result<Vec<(String, String)>> {
    let mut by_key: HashMap<String, (String, String)> = HashMap::new();
    let (mut changed, mut conflicts) = (Vec::new(), Vec::new());
    for (id, email, old_key) in accounts {
        let key = match EmailAddress::parse(&email) {
            Ok(address) => address.key().to_owned(),
            Err(error) => {
                tracing::warn!(account = %id, %error, "e-mail address of an account is invalid, its key is kept");
                old_key.clone()
            }
        };
        if let Some((other, address)) = by_key.insert(key.clone(), (id.clone(), email.clone())) {
            conflicts.push(format!("{other} ({address}) and {id} ({email})"));
        }
        if key != old_key {
            changed.push((id, key));
        }
    }
    if conflicts.is_empty() {
        return Ok(changed);
    }
    let pairs = conflicts.join(", ");
    Err(Error::Conflict(format!(
        "some accounts have e-mail addresses that now count as equal: {pairs}. Nothing was changed. In the database, give one \
         account of each pair another address with UPDATE accounts SET email = 'other@example.com' WHERE id = 'acc_…', then \
         start again"
    )))
}

/// Runs the step on a connection of either engine. This is a macro because no diesel trait covers both connection
/// types.
macro_rules! bring_up_to_date {
    ($conn:expr) => {{
        use ::diesel::{Connection as _, ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _};
        use $crate::base::db::schema::accounts;
        $conn.transaction::<(), $crate::base::error::Error, _>(|conn| {
            let stored: Vec<$crate::base::db::email_keys::Stored> =
                accounts::table.select((accounts::id, accounts::email, accounts::email_key)).load(conn)?;
            let changed = $crate::base::db::email_keys::changed(stored)?;
            // One account's new key may equal another account's old key, so first replace every old key with the
            // account's id.
            let placeholders = changed.iter().map(|(id, _)| (id, id));
            for (id, key) in placeholders.chain(changed.iter().map(|(id, key)| (id, key))) {
                let account = accounts::table.filter(accounts::id.eq(id));
                ::diesel::update(account).set(accounts::email_key.eq(key)).execute(conn)?;
            }
            Ok(())
        })
    }};
}
pub(super) use bring_up_to_date;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_change_only_where_the_canonical_form_differs() {
        let stored = |id: &str, email: &str| (id.to_owned(), email.to_owned(), email.to_lowercase());
        let accounts = vec![
            stored("1", "Kim@Example.com"),
            stored("2", "anna@müller.example"),
            stored("3", "mailto:sam@example.com"),
            stored("4", "ju\u{308}rgen@example.com"),
        ];
        let expected = [("2", "anna@xn--mller-kva.example"), ("4", "jürgen@example.com")];
        assert_eq!(changed(accounts).unwrap(), expected.map(|(id, key)| (id.to_owned(), key.to_owned())));
    }

    #[test]
    fn two_accounts_are_never_merged() {
        let stored = |email: &str| (email.to_owned(), email.to_owned(), email.to_lowercase());
        let addresses = ["anna@müller.example", "anna@xn--mller-kva.example", "ß@example.com", "ẞ@example.com"];
        let words = changed(addresses.map(stored).into()).unwrap_err().to_string();
        assert!(addresses.iter().all(|address| words.contains(address)), "{words}");
    }
}

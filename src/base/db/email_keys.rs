//! The keys of e-mail addresses, brought to the canonical form of [`EmailAddress`]. SQL cannot compute that form, so this
//! step runs before the migration that marks it as done, under the same lock.
//!
//! Invariant: if two accounts would come to have one address, nothing is changed at all.

use std::collections::HashMap;

use crate::base::{
    email::EmailAddress,
    error::{Error, Result},
};

/// The migration that marks the step as done.
const MARKER: &str = "20261128000010";

/// Whether the step is still to be done, by the migrations that were applied. A new database has no addresses.
pub(super) fn are_due(applied: &[String]) -> bool {
    !applied.is_empty() && !applied.iter().any(|version| version == MARKER)
}

/// An account's address: id, as shown, key.
pub(super) type Stored = (String, String, String);

/// The keys to be changed, by account. An address that is not valid any more keeps its key.
///
/// # Errors
/// [`Error::Conflict`] if two accounts would come to have the same key. It names all of them.
pub(super) fn changed(accounts: Vec<Stored>) -> Result<Vec<(String, String)>> {
    let mut by_key: HashMap<String, (String, String)> = HashMap::new();
    let (mut changed, mut same) = (Vec::new(), Vec::new());
    for (id, email, old) in accounts {
        let key = match EmailAddress::parse(&email) {
            Ok(address) => address.key().to_owned(),
            Err(error) => {
                tracing::warn!(account = %id, %error, "an account's e-mail address is not valid; it can sign in with it as before");
                old.clone()
            }
        };
        if let Some((other, address)) = by_key.insert(key.clone(), (id.clone(), email.clone())) {
            same.push(format!("{other} ({address}) and {id} ({email})"));
        }
        if key != old {
            changed.push((id, key));
        }
    }
    if same.is_empty() {
        return Ok(changed);
    }
    let pairs = same.join(", ");
    Err(Error::Conflict(format!(
        "accounts have e-mail addresses that count as the same now: {pairs}. Nothing was changed. Give one account of each pair \
         another address in the database, with UPDATE accounts SET email = 'other@example.com' WHERE id = 'acc_…', then start \
         again"
    )))
}

/// The step on a connection of one engine, which diesel's traits cannot name for both.
macro_rules! bring_up_to_date {
    ($conn:expr) => {{
        use ::diesel::{Connection as _, ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _};
        use $crate::base::db::schema::accounts;
        $conn.transaction::<(), $crate::base::error::Error, _>(|conn| {
            let stored: Vec<$crate::base::db::email_keys::Stored> =
                accounts::table.select((accounts::id, accounts::email, accounts::email_key)).load(conn)?;
            let changed = $crate::base::db::email_keys::changed(stored)?;
            // One account's new key may be another's old one, so all old ones go first.
            let in_between = changed.iter().map(|(id, _)| (id, id));
            for (id, key) in in_between.chain(changed.iter().map(|(id, key)| (id, key))) {
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

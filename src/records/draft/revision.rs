//! How far a client has got: the id of a history, and the account's count of changes in it. Sealed, so that a count beyond the
//! server's own proves that changes were lost. Clients send it back as it is.

use diesel::QueryDsl as _;

use crate::base::{
    db::{
        Conn, find,
        schema::{accounts, instance},
    },
    error::Result,
    keys::Keys,
    secret::is_base64url,
};

/// Longest id of a history, in characters.
const LONGEST_ID: usize = 40;

/// An account's count of changes in a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The history's id.
    pub history: String,
    /// The count.
    pub count: i64,
    /// The account's count when this client began anew, while it has not been told of all drafts. Older deletions do not
    /// concern it, so they may be forgotten meanwhile.
    pub began: Option<i64>,
}

/// A revision that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRevision {
    /// The revision.
    pub revision: Revision,
    /// Whether this instance gave it out, to this account.
    pub is_sealed: bool,
}

impl Revision {
    /// As clients get it.
    pub fn seal(&self, account_id: &str, keys: &Keys) -> Result<String> {
        let seal = keys.seal_revision(&self.sealed(account_id))?;
        Ok(format!("{}.{}.{seal}", self.history, self.place()))
    }

    fn sealed(&self, account_id: &str) -> String {
        format!("{account_id} {} {}", self.history, self.place())
    }

    /// The count, after a dash with that of the beginning.
    fn place(&self) -> String {
        self.began.map_or_else(|| self.count.to_string(), |began| format!("{}-{began}", self.count))
    }

    /// Whether the rest of what is new can be told to a client that has come so far.
    pub(super) fn can_go_on(&self, floor: i64, count: i64) -> bool {
        self.count <= count && (floor..=count).contains(&self.began.unwrap_or(self.count))
    }
}

impl ClientRevision {
    /// From what a client sent; `None` if it is no revision.
    pub fn read(text: &str, account_id: &str, keys: &Keys) -> Option<Self> {
        let mut parts = text.split('.');
        let (Some(history), Some(count), Some(seal), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        if history.len() > LONGEST_ID || !is_base64url(history, history.len()) {
            return None;
        }
        let number = |text: &str| text.parse().ok().filter(|count: &i64| *count >= 0);
        let (count, began) = match count.split_once('-') {
            Some((count, began)) => (number(count)?, Some(number(began)?)),
            None => (number(count)?, None),
        };
        let revision = Revision { history: history.to_owned(), count, began };
        let is_sealed = keys.has_sealed_revision(&revision.sealed(account_id), seal);
        Some(Self { revision, is_sealed })
    }

    /// Whether this client has seen changes of this history which an account with this count of changes has lost.
    pub fn proves_loss(&self, present_history: &str, present_count: i64) -> bool {
        let Revision { history, count, .. } = &self.revision;
        self.is_sealed && history == present_history && *count > present_count
    }
}

/// The account's present revision.
pub(super) async fn present(conn: &mut Conn<'_>, account_id: &str) -> Result<Revision> {
    let history = instance::table.select(instance::history).single_value();
    let row = accounts::table.find(account_id).select((accounts::revision, history));
    let found: Option<(i64, Option<String>)> = find!(conn, first(row))?;
    let (count, history) = found.unwrap_or_default();
    Ok(Revision { history: history.unwrap_or_default(), count, began: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_began_anew_goes_on_below_the_floor_and_nobody_else_does() {
        let going_on = |count, began| Revision { history: String::new(), count, began }.can_go_on(50, 90);
        assert!(going_on(50, None) && going_on(90, None) && !going_on(49, None) && !going_on(91, None));
        assert!(going_on(3, Some(50)) && going_on(3, Some(90)));
        assert!(!going_on(3, Some(49)) && !going_on(3, Some(91)) && !going_on(91, Some(60)));
    }
}

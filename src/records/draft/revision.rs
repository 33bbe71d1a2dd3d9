//! A client's revision: the id of a history, and the account's count of changes in it. Clients return a revision
//! unchanged. Called by the sync.
//!
//! Invariant: only a revision with a valid seal can prove that the server lost changes.

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

const LONGEST_ID: usize = 40;

/// An account's count of changes in a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub history: String,
    pub count: i64,
    /// The account's count when this client started over; set until the client has received all drafts. Older deletions
    /// do not concern the client, so they may be forgotten meanwhile.
    pub began: Option<i64>,
}

/// A revision that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRevision {
    pub revision: Revision,
    /// Whether this instance issued the revision to this account.
    pub is_sealed: bool,
}

impl Revision {
    /// The sealed text that clients get.
    pub fn seal(&self, account_id: &str, keys: &Keys) -> Result<String> {
        let seal = keys.seal_revision(&self.sealed(account_id))?;
        Ok(format!("{}.{}.{seal}", self.history, self.position()))
    }

    fn sealed(&self, account_id: &str) -> String {
        format!("{account_id} {} {}", self.history, self.position())
    }

    /// The count; if the client started over, followed by a dash and the count at that time.
    fn position(&self) -> String {
        self.began.map_or_else(|| self.count.to_string(), |began| format!("{}-{began}", self.count))
    }

    /// Whether a client at this revision can get the remaining changes without starting over.
    pub(super) fn can_go_on(&self, floor: i64, count: i64) -> bool {
        self.count <= count && (floor..=count).contains(&self.began.unwrap_or(self.count))
    }
}

impl ClientRevision {
    /// Parses a client's revision. Returns `None` if the text is not a revision.
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

    /// Whether this client has seen changes that the account has lost since, given the account's current history and
    /// count.
    pub fn proves_loss(&self, present_history: &str, present_count: i64) -> bool {
        let Revision { history, count, .. } = &self.revision;
        self.is_sealed && history == present_history && *count > present_count
    }
}

/// The account's current revision.
pub(super) async fn present(conn: &mut Conn<'_>, account_id: &str) -> Result<Revision> {
    let history = instance::table.select(instance::history).single_value();
    let row = accounts::table.find(account_id).select((accounts::revision, history));
    let found: Option<(i64, Option<String>)> = find!(conn, first(row))?;
    let (count, history) = found.unzip();
    Ok(Revision::of(count, history.flatten()))
}

impl Revision {
    /// The revision from the account's count and the id of the instance's history.
    pub(super) fn of(count: Option<i64>, history: Option<String>) -> Self {
        Self { history: history.unwrap_or_default(), count: count.unwrap_or_default(), began: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_started_over_can_go_on_below_the_floor() {
        let can_go_on = |count, began| Revision { history: String::new(), count, began }.can_go_on(50, 90);
        assert!(can_go_on(50, None) && can_go_on(90, None) && !can_go_on(49, None) && !can_go_on(91, None));
        assert!(can_go_on(3, Some(50)) && can_go_on(3, Some(90)));
        assert!(!can_go_on(3, Some(49)) && !can_go_on(3, Some(91)) && !can_go_on(91, Some(60)));
    }
}

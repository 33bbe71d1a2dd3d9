//! News: what ends, rotates or changes is told to everybody who has a page open, on every node, once it is committed.
//! The statements that end or rotate sessions and the audit trail announce it in their transactions, so that no caller can
//! forget; the hub of each node hears it and passes it to the open streams.
//!
//! Invariant: news carries ids and nothing that opens anything, and is never the only way to learn of an end: each
//! request reads the row, and who may have missed something asks the database.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::{
    db::{Conn, LONGEST_TEXT, announce, mention},
    error::{Error, Result},
};

/// Something that happened to sessions, accounts or what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum News {
    /// Sessions ended.
    Ended {
        /// Why, in the row's word.
        reason: String,
        /// Which, by account.
        of: BTreeMap<String, Vec<String>>,
    },
    /// So many sessions ended that each has to be looked up.
    Many,
    /// A session has another id and key.
    Rotated {
        /// Whose it is.
        account: String,
        /// The id it had before.
        was: String,
    },
    /// The list of an account's sessions or devices changed, or its trail.
    Changed {
        /// Whose.
        account: String,
    },
    /// An account's drafts changed.
    Drafts {
        /// Whose.
        account: String,
    },
}

impl News {
    fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::bug)
    }

    /// What another process said. What a later version says, and this one does not know, is worth looking up.
    pub(super) fn heard(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(Self::Many)
    }
}

/// Announces ends with the transaction that commits them: ids of sessions and of their accounts.
pub(super) async fn ended<'a>(
    conn: &mut Conn<'_>,
    ends: impl Iterator<Item = (&'a str, &'a str)>,
    reason: &str,
) -> Result<()> {
    let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (session, account) in ends {
        of.entry(account.to_owned()).or_default().push(session.to_owned());
    }
    if of.is_empty() {
        return Ok(());
    }
    let text = News::Ended { reason: reason.to_owned(), of }.text()?;
    if text.len() > LONGEST_TEXT {
        return announce(conn, &News::Many.text()?).await;
    }
    announce(conn, &text).await
}

/// Announces a rotation with the transaction that commits it.
pub(super) async fn rotated(conn: &mut Conn<'_>, account: &str, was: &str) -> Result<()> {
    announce(conn, &News::Rotated { account: account.to_owned(), was: was.to_owned() }.text()?).await
}

/// Mentions that something changed in the lists and trails of these accounts, once it is committed.
///
/// # Errors
/// Never in practice: an id becomes JSON.
pub fn changed<'a>(conn: &mut Conn<'_>, accounts: impl Iterator<Item = &'a str>) -> Result<()> {
    for account in accounts.collect::<BTreeSet<_>>() {
        mention(conn, News::Changed { account: account.to_owned() }.text()?);
    }
    Ok(())
}

/// Mentions that an account's drafts changed, once it is committed.
///
/// # Errors
/// Never in practice: an id becomes JSON.
pub fn drafts_changed(conn: &mut Conn<'_>, account: &str) -> Result<()> {
    mention(conn, News::Drafts { account: account.to_owned() }.text()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_says_is_looked_up() {
        assert_eq!(News::heard(r#"{"what":"melted","of":1}"#), News::Many);
        assert_eq!(News::heard("nonsense"), News::Many);
        let told = News::Rotated { account: "acc_1".into(), was: "aiq_1".into() };
        assert_eq!(News::heard(&told.text().unwrap()), told);
    }

    #[test]
    fn eighty_ends_of_one_account_fit_into_one_text() {
        let session = format!("aiq_1795460400123_{}", "a".repeat(22));
        let of = BTreeMap::from([(format!("acc_{}", "a".repeat(22)), vec![session; 80])]);
        let news = News::Ended { reason: "password-changed".into(), of };
        assert!(news.text().unwrap().len() < LONGEST_TEXT);
    }
}

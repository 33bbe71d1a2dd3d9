//! Notifications that sessions ended or were rotated, or that other data changed. They reach the open pages on every
//! node after the commit. The statements that end or rotate sessions announce them in their transactions, and so does
//! the audit module, so that no caller can forget. The hub of each node receives them and passes them to the open
//! streams.
//!
//! Invariant: a notification contains only ids, which grant no access. It is never the only way to learn of an end:
//! each request reads the row, and a node that may have missed notifications reads the database.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::{
    db::{Conn, LONGEST_TEXT, announce, mention},
    error::{Error, Result},
};

/// A change to sessions, to accounts or to data that belongs to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum News {
    /// Sessions ended.
    Ended {
        /// The reason, as stored in the row.
        reason: String,
        /// The ids of the sessions, by account.
        of: BTreeMap<String, Vec<String>>,
    },
    /// So many sessions ended that every subscriber's session must be looked up.
    Many,
    /// A session has a new id and key.
    Rotated {
        account: String,
        /// The session's previous id.
        was: String,
    },
    /// The sessions, devices or activity of an account changed.
    Changed { account: String },
    /// An account's drafts changed.
    Drafts { account: String },
}

impl News {
    fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::bug)
    }

    /// Parses a notification. An unknown text may come from a later version; it becomes [`News::Many`], so that
    /// sessions are looked up.
    pub(super) fn heard(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(Self::Many)
    }
}

/// Announces ended sessions in the transaction that commits their ends. `ends` yields pairs of session id and account
/// id.
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

/// Announces a rotation in the transaction that commits it.
pub(super) async fn rotated(conn: &mut Conn<'_>, account: &str, was: &str) -> Result<()> {
    announce(conn, &News::Rotated { account: account.to_owned(), was: was.to_owned() }.text()?).await
}

/// Announces, after the commit, that the sessions, devices or activity of these accounts changed.
pub fn changed<'a>(conn: &mut Conn<'_>, accounts: impl Iterator<Item = &'a str>) -> Result<()> {
    for account in accounts.collect::<BTreeSet<_>>() {
        mention(conn, News::Changed { account: account.to_owned() }.text()?);
    }
    Ok(())
}

/// Announces, after the commit, that an account's drafts changed.
pub fn drafts_changed(conn: &mut Conn<'_>, account: &str) -> Result<()> {
    mention(conn, News::Drafts { account: account.to_owned() }.text()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_message_causes_a_lookup() {
        assert_eq!(News::heard(r#"{"what":"melted","of":1}"#), News::Many);
        assert_eq!(News::heard("nonsense"), News::Many);
        let sent = News::Rotated { account: "acc_1".into(), was: "aiq_1".into() };
        assert_eq!(News::heard(&sent.text().unwrap()), sent);
    }

    #[test]
    fn eighty_ends_of_one_account_fit_into_one_message() {
        let session = format!("aiq_1795460400123_{}", "a".repeat(22));
        let of = BTreeMap::from([(format!("acc_{}", "a".repeat(22)), vec![session; 80])]);
        let news = News::Ended { reason: "password-changed".into(), of };
        assert!(news.text().unwrap().len() < LONGEST_TEXT);
    }
}

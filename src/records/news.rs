//! Notifications that sessions ended or were rotated, or that other data changed. They reach the open pages and the
//! session caches of every node. The statements that change what a request's lookup reads announce it in their
//! transactions, and so does the audit module, so that no caller can forget. The hub of each node passes the
//! notifications to the open streams.
//!
//! Invariant: a notification contains only ids, which grant no access. A node that may have missed notifications reads
//! the database.

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
    /// What a lookup reads changed for these accounts: their rows, or those of their sessions or devices. For caches.
    Accounts { of: BTreeSet<String> },
    /// The sessions, devices or activity of an account changed. For open pages, which read them again.
    Changed { account: String },
    /// An account's drafts changed.
    Drafts { account: String },
    /// Protected apps were added, changed or removed. For caches.
    Apps,
    /// Nothing changed. A node that waits until this has arrived knows that everything before it has arrived too.
    Fence,
}

impl News {
    fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::bug)
    }

    /// Parses a notification. An unknown text may come from a later version; it becomes [`News::Many`], so that
    /// sessions are looked up.
    pub fn heard(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(Self::Many)
    }
}

/// The longest text around the ends in a message.
const MESSAGE: usize = 80;
/// Maximum number of messages about the ends of one transaction. If there were more, every session is looked up.
const MOST_PARTS: usize = 8;

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
    let parts = parts(of);
    if parts.len() > MOST_PARTS {
        return many(conn).await;
    }
    for of in parts {
        announce(conn, &News::Ended { reason: reason.to_owned(), of }.text()?).await?;
    }
    Ok(())
}

/// Ends, divided so that each part fits into one message.
fn parts(of: BTreeMap<String, Vec<String>>) -> Vec<BTreeMap<String, Vec<String>>> {
    // What is around a name in the text: two quotation marks, and a comma or a colon and brackets.
    const AROUND: usize = 6;
    let (mut parts, mut part, mut bytes) = (Vec::new(), BTreeMap::<String, Vec<String>>::new(), MESSAGE);
    for (account, sessions) in of {
        for session in sessions {
            let more = account.len() + session.len() + 2 * AROUND;
            if bytes + more > LONGEST_TEXT {
                parts.push(std::mem::take(&mut part));
                bytes = MESSAGE;
            }
            bytes += more;
            part.entry(account.clone()).or_default().push(session);
        }
    }
    parts.push(part);
    parts
}

/// Announces, after the commit, that rows of sessions ended that no node's memory has. For the streams to apps, which read
/// the rows.
pub(super) fn rows_ended(conn: &mut Conn<'_>) -> Result<()> {
    mention(conn, News::Ended { reason: "revoked".to_owned(), of: BTreeMap::new() }.text()?);
    Ok(())
}

/// Announces a rotation in the transaction that commits it.
pub(super) async fn rotated(conn: &mut Conn<'_>, account: &str, was: &str) -> Result<()> {
    announce(conn, &News::Rotated { account: account.to_owned(), was: was.to_owned() }.text()?).await
}

/// Announces, in the transaction that commits it, that what a lookup reads has changed for these accounts.
pub(super) async fn looked_up_changed<'a>(conn: &mut Conn<'_>, accounts: impl Iterator<Item = &'a str>) -> Result<()> {
    let of: BTreeSet<String> = accounts.map(str::to_owned).collect();
    if of.is_empty() {
        return Ok(());
    }
    let text = News::Accounts { of }.text()?;
    if text.len() > LONGEST_TEXT {
        return many(conn).await;
    }
    announce(conn, &text).await
}

/// Announces, in the transaction that commits it, that any session may have changed.
pub async fn many(conn: &mut Conn<'_>) -> Result<()> {
    announce(conn, &News::Many.text()?).await
}

/// Announces, in the transaction that commits it, that a protected app was added, changed or removed.
pub(super) async fn apps_changed(conn: &mut Conn<'_>) -> Result<()> {
    announce(conn, &News::Apps.text()?).await
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
    use crate::base::db::FENCE;

    #[test]
    fn an_unknown_message_causes_a_lookup() {
        assert_eq!(News::heard(r#"{"what":"melted","of":1}"#), News::Many);
        assert_eq!(News::heard("nonsense"), News::Many);
        let sent = News::Rotated { account: "acc_1".into(), was: "aiq_1".into() };
        assert_eq!(News::heard(&sent.text().unwrap()), sent);
    }

    #[test]
    fn the_fence_changes_nothing() {
        assert_eq!(News::heard(FENCE), News::Fence);
    }

    #[test]
    fn two_hundred_ends_of_as_many_accounts_are_announced_in_parts() {
        let session = |n: usize| format!("aiq_1795460400123_{n:022}");
        let of: BTreeMap<_, _> = (0..200).map(|n| (format!("acc_{n:022}"), vec![session(n)])).collect();
        let parts = parts(of.clone());
        assert!((2..=MOST_PARTS).contains(&parts.len()), "{}", parts.len());
        for of in &parts {
            let news = News::Ended { reason: "account-disabled".into(), of: of.clone() };
            assert!(news.text().unwrap().len() <= LONGEST_TEXT);
        }
        assert_eq!(parts.into_iter().flatten().collect::<BTreeMap<_, _>>(), of, "nothing is left out");
    }

    #[test]
    fn eighty_ends_of_one_account_fit_into_one_message() {
        let session = format!("aiq_1795460400123_{}", "a".repeat(22));
        let of = BTreeMap::from([(format!("acc_{}", "a".repeat(22)), vec![session; 80])]);
        let news = News::Ended { reason: "password-changed".into(), of };
        assert!(news.text().unwrap().len() < LONGEST_TEXT);
    }
}

//! Reads an account's events by page, newest first. Called by the activity page, the API and the dashboard.
//!
//! Invariant: a read touches only rows of its account, and about as many as it returns. Event ids grow in commit order
//! within an account, so that a reader who follows the cursors sees each event once, even if more are recorded
//! meanwhile.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _, TextExpressionMethods as _};

use super::event::{Kind, Recorded};
use crate::base::{
    db::{Conn, is_word, run, schema::audit},
    error::{Error, Result},
};

/// Maximum events per page.
pub const MOST_A_PAGE: i64 = 200;
/// The first byte of a cursor: its version.
const CURSOR: u8 = 1;

#[derive(Debug, Clone)]
pub struct Page {
    /// Newest first.
    pub events: Vec<Recorded>,
    /// The cursor of the next page. `None` on the last page.
    pub next: Option<Cursor>,
}

/// The end of a page. Clients must treat its text as opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(i64);

impl Cursor {
    /// # Errors
    /// [`Error::Invalid`] if `text` is not a cursor.
    pub fn parse(text: &str) -> Result<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        match bytes.split_first() {
            Some((&CURSOR, id)) => id.try_into().map(i64::from_be_bytes).ok().filter(|id| *id > 0).map(Self),
            _ => None,
        }
        .ok_or_else(|| Error::Invalid("`before` is not a valid cursor".into()))
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![CURSOR];
        bytes.extend_from_slice(&self.0.to_be_bytes());
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// A group of event kinds to filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Successful and failed logins, and the use of second factors.
    Logins,
    /// Sessions and their ends.
    Sessions,
    /// Devices: new, renamed, forgotten.
    Devices,
    /// The account itself, its password and its second factors.
    Account,
}

impl Topic {
    pub const ALL: &'static [Self] = &[Self::Logins, Self::Sessions, Self::Devices, Self::Account];

    /// The word in the query string.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logins => "logins",
            Self::Sessions => "sessions",
            Self::Devices => "devices",
            Self::Account => "account",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|topic| topic.as_str() == word)
    }

    /// Whether a kind belongs to the topic, by the kind's prefix.
    pub fn has(self, kind: Kind) -> bool {
        let beginnings: &[&str] = match self {
            Self::Logins => &["login.", "passkey.used", "recovery.used", "second-factor.failed"],
            Self::Sessions => &["session.", "logout"],
            Self::Devices => &["device."],
            Self::Account => &[
                "account.",
                "password.",
                "passkey.added",
                "passkey.renamed",
                "passkey.removed",
                "totp.",
                "recovery.made",
                "second-factor.reset",
            ],
        };
        beginnings.iter().any(|beginning| kind.as_str().starts_with(beginning))
    }
}

/// A page of at most `limit` of the account's events before the cursor, of one topic or of all.
pub async fn page(
    conn: &mut Conn<'_>,
    account_id: &str,
    topic: Option<Topic>,
    before: Option<Cursor>,
    limit: i64,
) -> Result<Page> {
    let limit = limit.clamp(1, MOST_A_PAGE);
    let before = before.map_or(i64::MAX, |cursor| cursor.0);
    // Read one more than shown, to know whether there is a next page.
    let mut events = match topic {
        None => of_all_kinds(conn, account_id, before, limit + 1).await?,
        Some(topic) => {
            let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| topic.has(*kind)).collect();
            of_kinds(conn, account_id, &kinds, Some(before), limit + 1).await?
        }
    };
    let shown = usize::try_from(limit).unwrap_or_default();
    let more = events.len() > shown;
    events.truncate(shown);
    let next = if more { events.last().map(|last| Cursor(last.id)) } else { None };
    Ok(Page { events, next })
}

/// The account's newest events, or its newest events before the event `before`. Newest first, at most `most`.
pub async fn newest_before(
    conn: &mut Conn<'_>,
    account_id: &str,
    before: Option<i64>,
    most: i64,
) -> Result<Vec<Recorded>> {
    of_all_kinds(conn, account_id, before.unwrap_or(i64::MAX), most).await
}

async fn of_all_kinds(conn: &mut Conn<'_>, account_id: &str, before: i64, most: i64) -> Result<Vec<Recorded>> {
    run!(
        conn,
        load(
            audit::table
                .filter(audit::account_id.eq(account_id))
                .filter(audit::id.lt(before))
                // During an upgrade, newer nodes may write kinds that this version does not know. `concat` keeps the
                // planner from using the index of kinds: with that index, it would have to sort all rows.
                .filter(is_word::<Kind, _>(audit::kind.concat("")))
                .order(audit::id.desc())
                .limit(most)
                .select(Recorded::as_select())
        )
    )
}

/// The account's newest events of these kinds, or its newest ones before the event `before`. Newest first, at most
/// `most`.
pub async fn of_kinds(
    conn: &mut Conn<'_>,
    account_id: &str,
    kinds: &[Kind],
    before: Option<i64>,
    most: i64,
) -> Result<Vec<Recorded>> {
    let mut events = Vec::new();
    // One query per kind reads the end of the kind's index range. For a query of all kinds, neither engine does that.
    for kind in kinds.iter().copied() {
        let some: Vec<Recorded> = run!(
            conn,
            load(
                audit::table
                    .filter(audit::account_id.eq(account_id))
                    .filter(audit::kind.eq(kind))
                    .filter(audit::id.lt(before.unwrap_or(i64::MAX)))
                    .order(audit::id.desc())
                    .limit(most)
                    .select(Recorded::as_select())
            )
        )?;
        events.extend(some);
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.id));
    events.truncate(usize::try_from(most).unwrap_or_default());
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        for id in [1, 77, i64::MAX] {
            assert_eq!(Cursor::parse(&Cursor(id).to_string()).unwrap(), Cursor(id));
        }
        for text in ["", "1", "abc", "AAAAAAAAAAAA", "AQAAAAAAAAAA", "Af__________", "AQAAAAAAAAABAA", "\u{e9}"] {
            assert!(Cursor::parse(text).is_err(), "{text:?}");
        }
    }

    fn is_of_no_topic(kind: &str) -> bool {
        kind.starts_with("app.") || kind.starts_with("sync.")
    }

    #[test]
    fn a_kind_belongs_to_one_topic_at_most_and_each_topic_has_some() {
        for kind in Kind::ALL {
            assert!(Topic::ALL.iter().filter(|topic| topic.has(*kind)).count() <= 1, "{kind}");
        }
        for kind in Kind::ALL.iter().filter(|kind| !is_of_no_topic(kind.as_str())) {
            assert!(Topic::ALL.iter().any(|topic| topic.has(*kind)), "{kind}");
        }
        for topic in Topic::ALL {
            assert!(Kind::ALL.iter().any(|kind| topic.has(*kind)), "{topic:?}");
            assert_eq!(Topic::from_word(topic.as_str()), Some(*topic));
        }
    }
}

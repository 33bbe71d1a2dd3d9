//! Reading an account's events, newest first, a page at a time.
//!
//! Invariant: a read touches rows of its own account only, and about as many as it shows. Since ids grow in the order of
//! commits within an account, whoever pages on sees each event once, whatever is recorded meanwhile.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _, TextExpressionMethods as _};

use super::event::{Kind, Recorded};
use crate::base::{
    db::{Conn, run, schema::audit},
    error::{Error, Result},
};

/// Events that a page has at most.
pub const MOST_A_PAGE: i64 = 200;
/// The first byte of a cursor, in case others come to be needed.
const CURSOR: u8 = 1;

/// Events of a page, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// The events.
    pub events: Vec<Recorded>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// Where a page ended. Its text says nothing to anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(i64);

impl Cursor {
    /// From its text.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        match bytes.split_first() {
            Some((&CURSOR, id)) => id.try_into().map(i64::from_be_bytes).ok().filter(|id| *id > 0).map(Self),
            _ => None,
        }
        .ok_or_else(|| Error::Invalid("before is not a cursor that a page has given".into()))
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![CURSOR];
        bytes.extend_from_slice(&self.0.to_be_bytes());
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// A group of kinds to look at alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Logins, good and bad.
    Logins,
    /// What became of sessions.
    Sessions,
    /// Devices: new, renamed, forgotten.
    Devices,
    /// The account itself and its password.
    Account,
}

impl Topic {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[Self::Logins, Self::Sessions, Self::Devices, Self::Account];

    /// The word in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logins => "logins",
            Self::Sessions => "sessions",
            Self::Devices => "devices",
            Self::Account => "account",
        }
    }

    /// From its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|topic| topic.as_str() == word)
    }

    /// Whether a kind belongs to it. Kinds are grouped by how they begin.
    pub fn has(self, kind: Kind) -> bool {
        let beginnings: &[&str] = match self {
            Self::Logins => &["login."],
            Self::Sessions => &["session.", "logout"],
            Self::Devices => &["device."],
            Self::Account => &["account.", "password."],
        };
        beginnings.iter().any(|beginning| kind.as_str().starts_with(beginning))
    }
}

/// A page of the account's events: those before the cursor, of one topic or of all, at most `limit`.
pub async fn page(
    conn: &mut Conn<'_>,
    account_id: &str,
    topic: Option<Topic>,
    before: Option<Cursor>,
    limit: i64,
) -> Result<Page> {
    let limit = limit.clamp(1, MOST_A_PAGE);
    let before = before.map_or(i64::MAX, |cursor| cursor.0);
    // One more than is shown, to know whether that is all.
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

/// The account's newest events.
pub async fn newest(conn: &mut Conn<'_>, account_id: &str, most: i64) -> Result<Vec<Recorded>> {
    of_all_kinds(conn, account_id, i64::MAX, most).await
}

/// The account's events that came before one, or its newest, newest first, at most `most`.
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
                // A later version beside this one may write kinds that this one does not know. An expression, so that
                // no engine thinks of going through all kinds by their index and sorting the lot.
                .filter(audit::kind.concat("").eq_any(Kind::ALL.iter().map(|kind| kind.as_str())))
                .order(audit::id.desc())
                .limit(most)
                .select(Recorded::as_select())
        )
    )
}

/// The account's events of these kinds that came before one, or its newest, newest first, at most `most`.
pub async fn of_kinds(
    conn: &mut Conn<'_>,
    account_id: &str,
    kinds: &[Kind],
    before: Option<i64>,
    most: i64,
) -> Result<Vec<Recorded>> {
    let mut events = Vec::new();
    // Kind by kind, each from the end of its own stretch of the index: together no engine would do that.
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

    #[test]
    fn a_kind_belongs_to_one_topic_at_most_and_each_topic_has_some() {
        for kind in Kind::ALL {
            assert!(Topic::ALL.iter().filter(|topic| topic.has(*kind)).count() <= 1, "{kind}");
        }
        for topic in Topic::ALL {
            assert!(Kind::ALL.iter().any(|kind| topic.has(*kind)), "{topic:?}");
            assert_eq!(Topic::from_word(topic.as_str()), Some(*topic));
        }
    }
}

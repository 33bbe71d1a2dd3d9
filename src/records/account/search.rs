//! The list of people, newest first, and the search in it. Called by the page and the API for people.
//!
//! A search compares a text of each account, which is a part of the index that the list follows. So it reads no row but
//! those that it returns, and it stops as soon as a page is full.
//!
//! Invariant: people who follow the cursors see each account once.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use diesel::{
    BoolExpressionMethods as _, EscapeExpressionMethods as _, ExpressionMethods as _, QueryDsl as _,
    SelectableHelper as _, TextExpressionMethods as _,
};

use super::{person::Person, search_text};
use crate::base::{
    db::{Conn, Db, Instant, run, schema::accounts},
    error::{Error, Result},
};

/// The most people that one page has.
pub const MOST_A_PAGE: i64 = 200;
/// The longest text that is searched for, in characters.
const LONGEST: usize = 100;
/// Accounts of older versions whose text is filled in within one transaction.
const BATCH: i64 = 200;
/// The first byte of a cursor: its version.
const CURSOR: u8 = 1;
/// A time that is later than every account, in microseconds. Much later ones do not fit into PostgreSQL's type.
const LATEST: i64 = i64::MAX / 4;

/// The end of a page. Clients must treat its text as opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    created_at: Instant,
    id: String,
}

impl Cursor {
    /// # Errors
    /// [`Error::Invalid`] if `text` is not a cursor.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::Invalid("`before` is not a valid cursor".into());
        if text.len() > 200 {
            return Err(wrong());
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let (micros, id) = match bytes.split_first() {
            Some((&CURSOR, rest)) => rest.split_first_chunk::<8>().ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        let id = std::str::from_utf8(id).ok().filter(|id| crate::base::text::is_id(id)).ok_or_else(wrong)?;
        let micros = i64::from_be_bytes(*micros);
        if !(0..=LATEST).contains(&micros) {
            return Err(wrong());
        }
        Ok(Self { created_at: Instant::from_micros(micros), id: id.to_owned() })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![CURSOR];
        bytes.extend_from_slice(&self.created_at.micros().to_be_bytes());
        bytes.extend_from_slice(self.id.as_bytes());
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Some people, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    pub people: Vec<Person>,
    /// The cursor of the next page. `None` on the last page.
    pub next: Option<Cursor>,
}

/// At most `limit` people before the cursor whose name or address contains each word of `query`.
pub async fn page(conn: &mut Conn<'_>, query: &str, before: Option<Cursor>, limit: i64) -> Result<Page> {
    let limit = limit.clamp(1, MOST_A_PAGE);
    let mut keys = keys(conn, query, before, limit + 1).await?;
    let more = keys.len() > usize::try_from(limit).unwrap_or_default();
    keys.truncate(usize::try_from(limit).unwrap_or_default());
    let next = keys.last().filter(|_| more).map(|(created_at, id)| Cursor { created_at: *created_at, id: id.clone() });
    if keys.is_empty() {
        return Ok(Page { people: Vec::new(), next });
    }
    let ids: Vec<&str> = keys.iter().map(|(_, id)| id.as_str()).collect();
    let those = accounts::table.filter(accounts::id.eq_any(ids)).filter(accounts::deleted_at.is_null());
    let mut people: Vec<Person> = run!(conn, load(those.select(Person::as_select())))?;
    people.sort_by(|a, b| (b.created_at, &b.account.id).cmp(&(a.created_at, &a.account.id)));
    Ok(Page { people, next })
}

/// The keys of the accounts that match, from the index alone. The statement is the same for every search.
async fn keys(conn: &mut Conn<'_>, query: &str, before: Option<Cursor>, most: i64) -> Result<Vec<(Instant, String)>> {
    let first_page = Cursor { created_at: Instant::from_micros(LATEST), id: String::new() };
    let Cursor { created_at, id } = before.unwrap_or(first_page);
    let [one, two, three] = patterns(query);
    let has = |pattern| accounts::search.like(pattern).escape('\\');
    // The first condition bounds the index. The second one alone would not.
    let earlier = accounts::created_at.lt(created_at).or(accounts::id.lt(id));
    let matching = accounts::table
        .filter(accounts::deleted_at.is_null())
        .filter(accounts::created_at.le(created_at).and(earlier))
        .filter(has(one).and(has(two)).and(has(three)));
    let some = matching.order((accounts::created_at.desc(), accounts::id.desc())).limit(most);
    run!(conn, load(some.select((accounts::created_at, accounts::id))))
}

/// The `LIKE` patterns of the words of a search, which may stand in any order. Words after the second must follow one
/// another.
fn patterns(query: &str) -> [String; 3] {
    let query: String = query.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let escaped = |word: &str| word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let words: Vec<String> = query.to_lowercase().split_whitespace().map(escaped).collect();
    let pattern = |words: &[String]| format!("%{}%", words.join("%"));
    let (first, rest) = words.split_at(words.len().min(1));
    let (second, rest) = rest.split_at(rest.len().min(1));
    [first, second, rest].map(|words| if words.is_empty() { "%".to_owned() } else { pattern(words) })
}

/// Fills in the text of accounts that an older version created.
pub async fn fill(db: &Db) -> Result<usize> {
    let mut filled = 0;
    loop {
        match db.write(fill_batch).await? {
            0 => return Ok(filled),
            some => filled += some,
        }
    }
}

async fn fill_batch(conn: &mut Conn<'_>) -> Result<usize> {
    let without = accounts::table.filter(accounts::deleted_at.is_null()).filter(accounts::search.eq(""));
    let without = without.order((accounts::created_at, accounts::id)).limit(BATCH);
    let rows: Vec<(String, String, String)> =
        run!(conn, load(without.select((accounts::id, accounts::name, accounts::email))))?;
    for (id, name, email) in &rows {
        let own = accounts::table.filter(accounts::id.eq(id)).filter(accounts::search.eq(""));
        run!(conn, execute(diesel::update(own).set(accounts::search.eq(search_text(name, email)))))?;
    }
    Ok(rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let cursor = Cursor { created_at: Instant::from_micros(1_795_460_400_000_001), id: "acc_a-b".into() };
        assert_eq!(Cursor::parse(&cursor.to_string()).unwrap(), cursor);
        for text in ["", "AQ", "AQAAAAAAAAAB", "AgAAAAAAAAABYQ", "AX__________YQ", "AQAAAAAAAAABIA", "\u{e9}"] {
            assert!(Cursor::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn each_word_of_a_search_is_matched_as_it_is() {
        assert_eq!(patterns(" Kim  50%_\\ "), ["%kim%", "%50\\%\\_\\\\%", "%"]);
        assert_eq!(patterns("\u{0}"), ["%"; 3]);
        assert_eq!(patterns("a b c d"), ["%a%", "%b%", "%c%d%"]);
        assert!(patterns(&"a b".repeat(300)).concat().len() < 2 * LONGEST);
    }
}

//! Drafts: short texts that a person writes on any of their devices. Changed only by [`operation`]s, which [`apply`] carries
//! out each once, however often it is sent; what they mean is in [`book`]. Called by the sync and by the drafts page.
//!
//! Invariant: a text that was written is never overwritten by one that does not build on it; both are kept.

pub mod apply;
pub mod book;
mod call;
pub mod choice;
pub mod operation;
pub mod portion;
pub mod result;
pub mod revision;
pub mod sweep;

use std::collections::BTreeSet;

use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable, Selectable, SelectableHelper as _};
use serde::{Serialize, ser::SerializeStruct as _};

use self::revision::Revision;
use crate::{
    base::{
        db::{
            Conn, DraftRow, Instant, find, run,
            schema::{accounts, drafts, instance},
            substr,
        },
        error::Result,
    },
    records::instance::history::SPAN,
};

/// Longest text, in characters (Unicode scalar values).
pub const LONGEST: usize = 10_000;
/// Drafts on a page of a list.
const A_PAGE: i64 = 100;
/// Characters of a draft that a list reads.
const BEGINNING: i32 = 400;
/// Drafts an account may have that are not deleted; what a conflict has split off does not count, up to as many again.
pub const MOST: i64 = 2_000;

/// A draft, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = drafts)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Draft {
    /// Made by a client; the account's own.
    pub id: String,
    /// What it says; nothing once it is deleted.
    pub text: String,
    /// Grows by one with each change.
    pub version: i64,
    /// The account's count of changes when this one was changed last.
    pub revision: i64,
    /// When that was.
    pub updated_at: Instant,
    /// What the device was called on which that was.
    pub updated_on: String,
    /// The draft from which this one was split off, because both had been changed.
    pub conflict_of: Option<String>,
    /// When it was deleted.
    pub deleted_at: Option<Instant>,
    /// Its last version from before the history in which it was changed last.
    pub forked_at: Option<i64>,
}

impl Draft {
    fn row(&self) -> DraftRow<'_> {
        DraftRow {
            id: &self.id,
            text: &self.text,
            version: self.version,
            revision: self.revision,
            updated_at: self.updated_at,
            updated_on: &self.updated_on,
            conflict_of: self.conflict_of.as_deref(),
            deleted_at: self.deleted_at,
            forked_at: self.forked_at,
        }
    }

    /// Whether it is not deleted.
    pub fn lives(&self) -> bool {
        self.deleted_at.is_none()
    }

    /// Whether what it says came after this version, which may be of a lost history.
    pub(crate) fn builds_on(&self, version: i64) -> bool {
        is_before(version, self.version) || self.forked_at.is_some_and(|last| is_before(version, last))
    }
}

/// Whether two versions of a draft are of the same history, and this one is no later than the other.
fn is_before(version: i64, other: i64) -> bool {
    (0..SPAN).contains(&(other - version))
}

/// As the API shows it.
impl Serialize for Draft {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shape = serializer.serialize_struct("Draft", 7)?;
        shape.serialize_field("id", &self.id)?;
        shape.serialize_field("text", &self.text)?;
        shape.serialize_field("version", &self.version)?;
        shape.serialize_field("updatedAt", &self.updated_at)?;
        shape.serialize_field("updatedOn", &self.updated_on)?;
        if let Some(of) = &self.conflict_of {
            shape.serialize_field("conflictOf", of)?;
        }
        if !self.lives() {
            shape.serialize_field("deleted", &true)?;
        }
        shape.end()
    }
}

/// What is news to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Drafts that changed, deleted ones among them; or all there are.
    pub drafts: Vec<Draft>,
    /// Whether the client begins anew: it has nothing but these, and what follows them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// Whether the client knows another history: what it has and these, with what follows them, lack may be lost here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// Whether there is more than goes in one answer: the client asks again, from the revision that came with these.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

async fn revision(conn: &mut Conn<'_>, account_id: &str) -> Result<Revision> {
    let history = instance::table.select(instance::history).single_value();
    let row = accounts::table.find(account_id).select((accounts::revision, history));
    let found: Option<(i64, Option<String>)> = find!(conn, first(row))?;
    let (count, history) = found.unwrap_or_default();
    Ok(Revision { history: history.unwrap_or_default(), count, began: None })
}

/// What a list shows of a draft.
#[derive(Debug, Clone, Queryable)]
pub struct Head {
    /// The draft.
    pub id: String,
    /// Its first characters.
    pub beginning: String,
    /// When it was changed last.
    pub updated_at: Instant,
    /// On which device.
    pub updated_on: String,
    /// The draft from which it was split off.
    pub conflict_of: Option<String>,
    revision: i64,
}

/// One page of a list.
#[derive(Debug)]
pub struct Heads {
    /// Changed last first.
    pub heads: Vec<Head>,
    /// Ids of those of which there are two versions.
    pub in_two: BTreeSet<String>,
    /// Where the next page begins.
    pub next: Option<i64>,
    /// The revision they are as new as.
    pub revision: Revision,
}

/// What a page of a list shows of the account's drafts that are not deleted, after those that were changed later.
///
/// # Errors
/// When the database is away.
pub async fn heads(conn: &mut Conn<'_>, account_id: &str, after: Option<i64>) -> Result<Heads> {
    let revision = revision(conn, account_id).await?;
    let list = living(account_id)
        .filter(drafts::revision.lt(after.unwrap_or(i64::MAX)))
        .order(drafts::revision.desc())
        .limit(A_PAGE + 1)
        .select((
            drafts::id,
            substr(drafts::text, 1, BEGINNING),
            drafts::updated_at,
            drafts::updated_on,
            drafts::conflict_of,
            drafts::revision,
        ));
    let mut heads: Vec<Head> = run!(conn, load(list))?;
    let more = i64::try_from(heads.len()).is_ok_and(|many| many > A_PAGE);
    heads.truncate(usize::try_from(A_PAGE).unwrap_or(usize::MAX));
    let next = heads.last().filter(|_| more).map(|last| last.revision);
    let in_two = in_two(conn, account_id, &heads).await?;
    Ok(Heads { heads, in_two, next, revision })
}

async fn in_two(conn: &mut Conn<'_>, account_id: &str, heads: &[Head]) -> Result<BTreeSet<String>> {
    let ids: Vec<&str> = heads.iter().map(|head| head.id.as_str()).collect();
    let origins: Vec<&str> = heads.iter().filter_map(|head| head.conflict_of.as_deref()).collect();
    let split = living(account_id).filter(drafts::conflict_of.eq_any(ids)).select(drafts::conflict_of);
    let split: Vec<Option<String>> = run!(conn, load(split))?;
    let mut in_two: BTreeSet<String> = split.into_iter().flatten().collect();
    if !origins.is_empty() {
        let origins = living(account_id).filter(drafts::id.eq_any(origins)).select(drafts::id);
        let origins: BTreeSet<String> = run!(conn, load(origins))?.into_iter().collect();
        let has_origin = |head: &&Head| head.conflict_of.as_ref().is_some_and(|origin| origins.contains(origin));
        in_two.extend(heads.iter().filter(has_origin).map(|head| head.id.clone()));
    }
    Ok(in_two)
}

/// The draft with this id if it is not deleted, alone, or beside the one that was split off it or off which it was: the
/// original first.
///
/// # Errors
/// When the database is away.
pub async fn with_other(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Vec<Draft>> {
    let Some(draft) = one(conn, account_id, id).await?.filter(Draft::lives) else {
        return Ok(Vec::new());
    };
    if let Some(origin) = &draft.conflict_of
        && let Some(origin) = one(conn, account_id, origin).await?.filter(Draft::lives)
    {
        return Ok(vec![origin, draft]);
    }
    let split = living(account_id).filter(drafts::conflict_of.eq(id)).order(drafts::revision.desc());
    let split: Option<Draft> = find!(conn, first(split.select(Draft::as_select())))?;
    Ok([Some(draft), split].into_iter().flatten().collect())
}

#[diesel::dsl::auto_type(no_type_alias)]
fn living<'a>(account_id: &'a str) -> _ {
    drafts::table.filter(drafts::account_id.eq(account_id)).filter(drafts::deleted_at.is_null())
}

/// One of the account's drafts, deleted or not.
///
/// # Errors
/// When the database is away.
pub async fn one(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Draft>> {
    find!(conn, first(drafts::table.find((account_id, id)).select(Draft::as_select())))
}

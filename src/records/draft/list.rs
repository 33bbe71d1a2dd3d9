//! Reads lists of drafts, and a draft with its conflicting version. Called by the drafts page.
//!
//! Invariant: every query is limited to one account.

use std::collections::BTreeSet;

use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable, SelectableHelper as _};

use super::{
    revision::{self, Revision},
    stored::Draft,
};
use crate::base::{
    db::{Conn, Instant, find, run, schema::drafts, substr},
    error::Result,
};

/// Drafts on one page of the list.
const PAGE_SIZE: i64 = 100;
/// Characters of each draft that the list reads.
const BEGINNING: i32 = 400;

/// The part of a draft that a list shows.
#[derive(Debug, Clone, Queryable)]
pub struct Head {
    pub id: String,
    /// Its first characters.
    pub beginning: String,
    pub updated_at: Instant,
    /// The name of the device that changed it last.
    pub updated_on: String,
    /// The original draft, if this one was split off in a conflict.
    pub conflict_of: Option<String>,
    revision: i64,
}

/// One page of a list.
#[derive(Debug)]
pub struct Heads {
    /// The drafts, most recently changed first.
    pub heads: Vec<Head>,
    /// Ids of the drafts that have a conflicting version.
    pub in_two: BTreeSet<String>,
    /// The cursor of the next page.
    pub next: Option<i64>,
    /// The account's revision when the list was read.
    pub revision: Revision,
}

/// Reads one page of the account's drafts that are not deleted. Continues from the cursor `after`, if given.
pub async fn heads(conn: &mut Conn<'_>, account_id: &str, after: Option<i64>) -> Result<Heads> {
    let revision = revision::present(conn, account_id).await?;
    let list = living(account_id)
        .filter(drafts::revision.lt(after.unwrap_or(i64::MAX)))
        .order(drafts::revision.desc())
        .limit(PAGE_SIZE + 1)
        .select((
            drafts::id,
            substr(drafts::text, 1, BEGINNING),
            drafts::updated_at,
            drafts::updated_on,
            drafts::conflict_of,
            drafts::revision,
        ));
    let mut heads: Vec<Head> = run!(conn, load(list))?;
    let more = i64::try_from(heads.len()).is_ok_and(|many| many > PAGE_SIZE);
    heads.truncate(usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX));
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

/// The draft with this id, unless it is deleted, together with its conflicting version if there is one. The original
/// comes first.
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

/// Finds a draft of the account, deleted or not.
pub async fn one(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<Draft>> {
    find!(conn, first(drafts::table.find((account_id, id)).select(Draft::as_select())))
}

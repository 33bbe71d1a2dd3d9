//! Reads lists of drafts, and a draft with its conflicting version. Called by the drafts page.
//!
//! Invariant: every query is limited to one account.

use std::collections::BTreeSet;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, Queryable, SelectableHelper as _};

use super::{revision::Revision, stored::Draft};
use crate::{
    base::{
        db::{
            Conn, Instant, Together, apart, columns, find, first_of, run,
            schema::{accounts, drafts, instance},
            substr,
        },
        error::Result,
    },
    records::{
        device::{
            Device,
            arrivals::{MOST_NEW, unacknowledged},
        },
        session::arrivals::{self, Arrivals},
    },
};

/// Drafts read for a page of the list: one more than it shows, to know whether there is a next page.
const MOST_READ: u16 = 101;
/// Drafts on one page of the list.
const PAGE_SIZE: usize = MOST_READ as usize - 1;
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

type Row = (Option<i64>, Option<String>, Option<Head>, Option<(String, Option<String>)>, Option<Device>);

/// Reads one page of the account's drafts that are not deleted, and the new devices for the device in use. Continues
/// from the cursor `after`, if given.
pub async fn heads(
    conn: &mut Conn<'_>,
    account_id: &str,
    in_use: Option<&str>,
    after: Option<i64>,
) -> Result<(Heads, Arrivals)> {
    let head = (
        drafts::id,
        substr(drafts::text, 1, BEGINNING),
        drafts::updated_at,
        drafts::updated_on,
        drafts::conflict_of,
        drafts::revision,
    );
    let rows: Vec<Row> = run!(
        conn,
        load(Together((
            accounts::table.find(account_id).select(accounts::revision.nullable()),
            instance::table.select(instance::history),
            first_of::<MOST_READ, _>(
                living(account_id)
                    .filter(drafts::revision.lt(after.unwrap_or(i64::MAX)))
                    .order(drafts::revision.desc())
                    .select(head.nullable())
            ),
            living(account_id)
                .filter(drafts::conflict_of.is_not_null())
                .select((drafts::id, drafts::conflict_of).nullable()),
            first_of::<MOST_NEW, _>(unacknowledged(account_id).select(columns::<Device>().nullable())),
        )))
    )?;
    let (count, history, mut heads, conflicts, new) = apart(rows);
    heads.sort_by_key(|head| std::cmp::Reverse(head.revision));
    let more = heads.len() > PAGE_SIZE;
    heads.truncate(PAGE_SIZE);
    let next = heads.last().filter(|_| more).map(|last| last.revision);
    let in_two = in_two(conn, account_id, &conflicts).await?;
    let revision = Revision::of(count.into_iter().next(), history.into_iter().next());
    let arrivals = arrivals::of(conn, account_id, in_use, new).await?;
    Ok((Heads { heads, in_two, next, revision }, arrivals))
}

/// The ids of the drafts that have a conflicting version. `conflicts` holds the drafts that were split off another one.
async fn in_two(
    conn: &mut Conn<'_>,
    account_id: &str,
    conflicts: &[(String, Option<String>)],
) -> Result<BTreeSet<String>> {
    let origins: BTreeSet<&str> = conflicts.iter().filter_map(|(_, origin)| origin.as_deref()).collect();
    if origins.is_empty() {
        return Ok(BTreeSet::new());
    }
    let origins = living(account_id).filter(drafts::id.eq_any(origins)).select(drafts::id);
    let mut in_two: BTreeSet<String> = run!(conn, load(origins))?.into_iter().collect();
    let split = conflicts.iter().filter(|(_, origin)| origin.as_ref().is_some_and(|origin| in_two.contains(origin)));
    let split: Vec<String> = split.map(|(id, _)| id.clone()).collect();
    in_two.extend(split);
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

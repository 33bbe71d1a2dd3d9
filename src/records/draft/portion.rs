//! Reads drafts in portions, which bounds the size of an answer and the memory it needs. Called by the sync and by the
//! list of drafts.
//!
//! Invariant: a client that asks until no more is announced has missed nothing, even if drafts change meanwhile.

use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use serde::Serialize;

use super::{
    revision::{self, ClientRevision, Revision},
    stored::Draft,
};
use crate::base::{
    db::{Conn, octet_length, run, schema::drafts},
    error::Result,
};

/// Most bytes of drafts in one answer. A single draft is always smaller.
const PORTION: i64 = 1024 * 1024;
/// Approximate size of a draft without its text, in bytes.
const BESIDE_TEXT: i64 = 256;
/// Most drafts in one answer.
pub const MOST_IN_A_PORTION: i64 = 2_000;

/// The drafts that are new to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The changed drafts, including deleted ones; with `reset`, all drafts that are not deleted.
    pub drafts: Vec<Draft>,
    /// Whether the client must discard its copy and start from these drafts and the portions that follow.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// Whether the client's revision is from another history. Drafts of the client that are missing here and in the
    /// following portions may have been lost by the server.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// Whether more follows. The client then asks again, with the revision of this answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// Reads the drafts that changed since a client's revision, as many as fit in one answer, and the client's next
/// revision. If the revision is missing, too old or from another history, reads all drafts, oldest change first.
pub async fn since(
    conn: &mut Conn<'_>,
    account_id: &str,
    known: Option<&ClientRevision>,
    floor: i64,
    present: &Revision,
) -> Result<(Changes, Revision)> {
    let known = known.map(|known| &known.revision);
    let restored = known.is_some_and(|known| known.history != present.history);
    let known = known.filter(|known| !restored && known.can_go_on(floor, present.count));
    let reset = known.is_none();
    let sizes = sizes_since(conn, account_id, known.map(|known| known.count)).await?;
    let taken = portion(&sizes, MOST_IN_A_PORTION);
    let mut some = match (sizes.first(), taken.checked_sub(1).and_then(|last| sizes.get(last))) {
        (Some((first, _)), Some((last, _))) => between(conn, account_id, *first, *last).await?,
        _ => Vec::new(),
    };
    some.retain(|draft| !reset || draft.lives());
    let more = taken < sizes.len();
    let mut revision = present.clone();
    if let Some(last) = some.last().filter(|_| more) {
        revision.count = last.revision;
        revision.began = if reset { Some(present.count) } else { known.and_then(|known| known.began) };
    }
    Ok((Changes { drafts: some, reset, restored, more }, revision))
}

/// The revisions and sizes of the drafts that changed after `known`, or of all drafts that are not deleted.
async fn sizes_since(conn: &mut Conn<'_>, account_id: &str, known: Option<i64>) -> Result<Vec<(i64, i32)>> {
    let newer = drafts::table
        .filter(drafts::account_id.eq(account_id))
        .filter(drafts::revision.gt(known.unwrap_or(0)))
        .order(drafts::revision)
        .limit(MOST_IN_A_PORTION + 1)
        .select((drafts::revision, octet_length(drafts::text)));
    match known {
        // A client that starts over has no drafts to delete.
        None => run!(conn, load(newer.filter(drafts::deleted_at.is_null()))),
        Some(_) => run!(conn, load(newer)),
    }
}

/// One portion of the account's drafts that are not deleted, most recently changed first.
#[derive(Debug)]
pub struct Listed {
    /// The drafts of this portion.
    pub drafts: Vec<Draft>,
    /// The account's revision just before the drafts were read.
    pub revision: Revision,
    /// The cursor of the next portion, if there is one.
    pub next: Option<String>,
}

/// Reads a portion of at most `limit` drafts that are not deleted, most recently changed first. Continues from the
/// cursor `after`, if given. Changes made while a client pages through the list reach it by a sync from the first
/// portion's revision.
pub async fn list(conn: &mut Conn<'_>, account_id: &str, after: Option<i64>, limit: i64) -> Result<Listed> {
    // Read the revision first, so that a change in between is reported twice rather than missed.
    let revision = revision::present(conn, account_id).await?;
    let living = drafts::table
        .filter(drafts::account_id.eq(account_id).and(drafts::deleted_at.is_null()))
        .filter(drafts::revision.lt(after.unwrap_or(i64::MAX)))
        .order(drafts::revision.desc())
        .limit(limit + 1)
        .select((drafts::revision, octet_length(drafts::text)));
    let sizes: Vec<(i64, i32)> = run!(conn, load(living))?;
    let taken = portion(&sizes, limit);
    let last = taken.checked_sub(1).and_then(|last| sizes.get(last)).map(|(last, _)| *last);
    let mut some: Vec<Draft> = match (sizes.first(), last) {
        (Some((first, _)), Some(last)) => between(conn, account_id, last, *first).await?,
        _ => Vec::new(),
    };
    some.retain(Draft::lives);
    some.reverse();
    let next = last.filter(|_| taken < sizes.len()).map(|last| last.to_string());
    Ok(Listed { drafts: some, revision, next })
}

/// How many of these drafts fit in one answer; at least one, if there is any.
fn portion(sizes: &[(i64, i32)], limit: i64) -> usize {
    let mut bytes = 0;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let fit = sizes.iter().take(limit).take_while(|(_, size)| {
        bytes += i64::from(*size) + BESIDE_TEXT;
        bytes <= PORTION
    });
    fit.count().max(1).min(sizes.len())
}

async fn between(conn: &mut Conn<'_>, account_id: &str, first: i64, last: i64) -> Result<Vec<Draft>> {
    run!(
        conn,
        load(
            drafts::table
                .filter(drafts::account_id.eq(account_id).and(drafts::revision.between(first, last)))
                .order(drafts::revision)
                .select(Draft::as_select())
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_has_at_least_one_draft_and_a_bounded_size() {
        let sizes = |many: usize, size: i32| vec![(0, size); many];
        assert_eq!(portion(&[], 10), 0);
        assert_eq!(portion(&sizes(3, i32::MAX), 10), 1);
        assert_eq!(portion(&sizes(3, 10), 10), 3);
        assert_eq!(portion(&sizes(30, 10), 10), 10);
        assert_eq!(portion(&sizes(100, 40_000), 2_000), 26);
        assert_eq!(portion(&sizes(2_000, 100), 2_000), 2_000, "short drafts all fit in one answer");
    }
}

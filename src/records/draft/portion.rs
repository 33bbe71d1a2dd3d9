//! Drafts in portions: no answer holds more of them than a client can take at once, and none makes the program hold more.
//! Called by the sync and by the list of drafts.
//!
//! Invariant: a client that asks until nothing more is announced has missed nothing, whatever changes meanwhile.

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

/// Bytes of drafts in one answer: a single draft is always fewer.
const PORTION: i64 = 1024 * 1024;
/// What a draft takes beside its text, roughly.
const BESIDE_TEXT: i64 = 256;
/// Drafts in one answer at most.
pub const MOST_IN_A_PORTION: i64 = 2_000;

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

/// What changed since a client's revision, as much as goes in one answer, and its revision after that. Everything, beginning
/// with the oldest change, if the revision is none, too old to tell, or of another history.
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

/// Of the drafts that changed after this change, or of all that are not deleted: their changes and sizes.
async fn sizes_since(conn: &mut Conn<'_>, account_id: &str, known: Option<i64>) -> Result<Vec<(i64, i32)>> {
    let newer = drafts::table
        .filter(drafts::account_id.eq(account_id))
        .filter(drafts::revision.gt(known.unwrap_or(0)))
        .order(drafts::revision)
        .limit(MOST_IN_A_PORTION + 1)
        .select((drafts::revision, octet_length(drafts::text)));
    match known {
        // Whoever begins anew has nothing that could have been deleted.
        None => run!(conn, load(newer.filter(drafts::deleted_at.is_null()))),
        Some(_) => run!(conn, load(newer)),
    }
}

/// The account's drafts that are not deleted, changed last first, and where the rest begins if there is more.
#[derive(Debug)]
pub struct Listed {
    /// So many as go in one answer.
    pub drafts: Vec<Draft>,
    /// The revision they stand at, at least.
    pub revision: Revision,
    /// Where the next answer begins.
    pub next: Option<String>,
}

/// So many of the account's drafts that are not deleted as go in one answer and are at most `limit`, changed last first,
/// after those that were listed before. What changes while a client reads on it learns by the sync from the first answer's
/// revision on.
pub async fn list(conn: &mut Conn<'_>, account_id: &str, after: Option<i64>, limit: i64) -> Result<Listed> {
    // The revision first: what changes in between is news twice, and never missed.
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

/// How many of these go in one answer: one at least.
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
    fn a_portion_has_one_draft_at_least_and_no_more_bytes_than_it_may() {
        let sizes = |many: usize, size: i32| vec![(0, size); many];
        assert_eq!(portion(&[], 10), 0);
        assert_eq!(portion(&sizes(3, i32::MAX), 10), 1);
        assert_eq!(portion(&sizes(3, 10), 10), 3);
        assert_eq!(portion(&sizes(30, 10), 10), 10);
        assert_eq!(portion(&sizes(100, 40_000), 2_000), 26);
        assert_eq!(portion(&sizes(2_000, 100), 2_000), 2_000, "short ones all go in one answer");
    }
}

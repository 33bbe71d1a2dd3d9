//! Verifies every account's chain and names the first broken link of each. Called by `doctor`.
//!
//! Invariant: memory use does not depend on the number of events, and events recorded meanwhile cause no finding.

use diesel::{ExpressionMethods as _, QueryDsl as _};

pub use super::finding::{Finding, Wrong};
use super::{
    anchor, checkpoint, closing,
    mark::{self, Mark},
    walk::Walk,
};
use crate::base::{
    db::{Conn, find, run, schema::accounts},
    error::Result,
    keys::AuditKeys,
};

/// Accounts per batch.
const ACCOUNTS: i64 = 500;
/// Maximum findings that are kept. Further ones are only counted.
const MOST_FINDINGS: usize = 100;

/// The result of verifying the audit trail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Accounts that were checked.
    pub accounts: u64,
    /// Links that were checked.
    pub links: u64,
    /// Events that are older than the chain of their account. They cannot be verified.
    pub unchained: u64,
    /// Accounts with a broken chain.
    pub broken: u64,
    /// Accounts without a known break whose chain needs a key that is not in the key file.
    pub uncheckable: u64,
    /// The mark that the chains have begun.
    pub mark: Mark,
    /// One finding for each broken or uncheckable account: the first 100 in account order.
    pub findings: Vec<Finding>,
    /// Accounts whose chain does not contain the links that the anchor covers: their number, and the first account id.
    pub astray: (u64, Option<String>),
    /// Events that retention has deleted.
    pub removed: u64,
}

impl Verified {
    /// Whether all chains and the mark are valid. Ignores [`astray`](Self::astray).
    pub fn is_whole(&self) -> bool {
        self.broken == 0 && self.uncheckable == 0 && !matches!(self.mark, Mark::Broken | Mark::KeyMissing(_))
    }
}

/// Verifies the chains of all accounts.
pub async fn verify(conn: &mut Conn<'_>, keys: &AuditKeys) -> Result<Verified> {
    verify_since(conn, keys, None).await
}

/// Verifies the chains of all accounts, and checks that they contain the links that the anchor with this number covers.
pub async fn verify_since(conn: &mut Conn<'_>, keys: &AuditKeys, anchor: Option<i64>) -> Result<Verified> {
    verify_while(conn, keys, (anchor, ""), |_, _| true).await
}

/// Like [`verify_since`], for the accounts whose ids come after `after`, until `go_on` returns `false`. It is called after
/// each account with its id and its number of events.
pub async fn verify_while(
    conn: &mut Conn<'_>,
    keys: &AuditKeys,
    (anchor, after): (Option<i64>, &str),
    mut go_on: impl FnMut(&str, u64) -> bool,
) -> Result<Verified> {
    let mut verified = Verified { mark: mark::look(conn, keys).await?, ..Verified::default() };
    let mut last = after.to_owned();
    loop {
        let some = accounts::table.filter(accounts::id.gt(&last)).order(accounts::id).limit(ACCOUNTS);
        let ids: Vec<String> = run!(conn, load(some.select(accounts::id)))?;
        let Some(newest) = ids.last() else { return Ok(verified) };
        last.clone_from(newest);
        for id in ids {
            let promise = match anchor {
                Some(number) => anchor::counted(conn, &id, number).await?,
                None => None,
            };
            let before = verified.links + verified.unchained;
            let finding = walk(conn, keys, id.clone(), promise, &mut verified).await?;
            verified.note(finding);
            if !go_on(&id, verified.links + verified.unchained - before) {
                return Ok(verified);
            }
        }
    }
}

/// Whether [`verify_while`] checks a chain of this account.
pub async fn has_trail(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    let own = accounts::table.filter(accounts::id.eq(account_id)).select(accounts::id);
    let one: Option<String> = find!(conn, first(own))?;
    Ok(one.is_some())
}

impl Verified {
    fn note(&mut self, finding: Option<Finding>) {
        self.accounts += 1;
        let Some(finding) = finding else { return };
        match finding.wrong {
            Wrong::KeyMissing(_) => self.uncheckable += 1,
            _ => self.broken += 1,
        }
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        }
    }
}

/// Walks one chain, and starts again if events were deleted meanwhile.
async fn walk(
    conn: &mut Conn<'_>,
    keys: &AuditKeys,
    account_id: String,
    promise: Option<(i64, Vec<u8>)>,
    verified: &mut Verified,
) -> Result<Option<Finding>> {
    let mut beginning = checkpoint::read(conn, &account_id).await?;
    let (walk, found) = loop {
        let mut walk = Walk::new(keys, account_id.clone(), beginning.as_ref());
        walk.is_deleted = closing::is_deleted(conn, &account_id).await?;
        walk.is_marked = verified.mark != Mark::Missing;
        walk.promise.clone_from(&promise);
        let found = match walk.check_beginning(beginning.as_ref())? {
            None => walk.on(conn).await?,
            found => found,
        };
        let now = checkpoint::read(conn, &account_id).await?;
        if now == beginning {
            break (walk, found);
        }
        beginning = now;
    };
    let removed = beginning.as_ref().map_or([0, 0], |beginning| [beginning.links, beginning.unchained]);
    verified.links += u64::try_from(walk.links - removed[0]).unwrap_or_default();
    verified.unchained += u64::try_from(walk.unchained - removed[1]).unwrap_or_default();
    verified.removed += u64::try_from(removed[0] + removed[1]).unwrap_or_default();
    if walk.promise.is_some() {
        verified.astray.0 += 1;
        verified.astray.1.get_or_insert(account_id);
    }
    Ok(found)
}

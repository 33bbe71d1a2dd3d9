//! Anchors of the audit trail outside the database. From time to time, the server logs a line that is sealed with the
//! key file and covers the chains of all accounts. `doctor --since` compares such a line with the database. Called by
//! `serve` and `doctor`.
//!
//! A line contains a sum over all accounts. The table `trail_anchors` stores the number of links that each anchor
//! covers for each account. Without the key file, nobody can change these rows and keep the sum.
//!
//! Invariant: only one node at a time makes an anchor, so that no rows are added to a finished anchor.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, QueryableByName,
    dsl::max,
};

use super::{encoding::Encoding, mark::NOBODY};
use crate::base::{
    db::{
        AnchorRow, AnchorRows, Conn, Db, Instant, find, from_now, now, run,
        schema::{accounts, instance, trail_anchors, trails},
    },
    error::{Error, Result},
    keys::AuditKeys,
};

/// The prefix by which an anchor is found in a log line.
const PREFIX: &str = "trail1.";
/// Accounts per batch.
const ACCOUNTS: i64 = 500;
/// How long a node may take for one batch before another node may begin an anchor.
const LEASE: Duration = Duration::from_secs(120);

/// The state of all chains at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The id of the instance's [history](crate::records::instance::history).
    history: String,
    /// Incremented by one for each anchor.
    pub number: i64,
    /// When the anchor was finished.
    pub at: Instant,
    /// Accounts with at least one link.
    pub accounts: i64,
    /// Links of all accounts.
    pub links: i64,
    sum: [u8; 32],
    key_id: String,
    mac: Vec<u8>,
}

/// Makes an anchor. `None` if another node is making one.
pub async fn make(db: &Db, keys: &AuditKeys) -> Result<Option<Anchor>> {
    let Some((number, history)) = db.write(begin).await? else { return Ok(None) };
    let mut counted = Counted::new(keys, keys.signing().id(), history.as_deref().unwrap_or_default(), number)?;
    let mut last = String::new();
    loop {
        let Some(rows) = db.write(async move |conn: &mut Conn<'_>| batch(conn, number, &last).await).await? else {
            return Ok(None);
        };
        let Some(newest) = rows.last() else { break };
        last = newest.account_id.clone();
        rows.iter().for_each(|row| counted.add(row));
    }
    let finished = db.write(async move |conn: &mut Conn<'_>| finish(conn, number).await).await?;
    finished.map(|at| counted.seal(at)).transpose()
}

/// The number of links in all chains. Shows whether anything was recorded since the last anchor.
pub async fn all_links(conn: &mut Conn<'_>) -> Result<i64> {
    let sum = diesel::sql_query("SELECT CAST(coalesce(sum(links), 0) AS BIGINT) AS links FROM trails");
    let sum: Sum = run!(conn, get_result(sum))?;
    Ok(sum.links)
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    links: i64,
}

async fn begin(conn: &mut Conn<'_>) -> Result<Option<(i64, Option<String>)>> {
    // A lease that ends later than one begun now comes from a wrong clock. Ignore it.
    let is_free = instance::anchoring_until
        .is_null()
        .or(instance::anchoring_until.le(now().nullable()))
        .or(instance::anchoring_until.gt(from_now(LEASE).nullable()));
    let mine = (instance::anchor.eq(instance::anchor + 1), instance::anchoring_until.eq(from_now(LEASE).nullable()));
    let free = instance::table.filter(is_free.assume_not_null());
    find!(conn, get_result(diesel::update(free).set(mine).returning((instance::anchor, instance::history))))
}

/// Stores the number of links of the next accounts. `None` if another node has begun an anchor meanwhile.
async fn batch(conn: &mut Conn<'_>, number: i64, last: &str) -> Result<Option<Vec<AnchorRow>>> {
    let mine = instance::table.filter(instance::anchor.eq(number));
    let longer = instance::anchoring_until.eq(from_now(LEASE).nullable());
    if run!(conn, execute(diesel::update(mine).set(longer)))? == 0 {
        return Ok(None);
    }
    let some = trails::table.filter(trails::account_id.gt(last)).filter(trails::links.gt(0));
    let some = some.order(trails::account_id).limit(ACCOUNTS);
    let heads: Vec<(String, i64, Option<Vec<u8>>)> =
        run!(conn, load(some.select((trails::account_id, trails::links, trails::digest))))?;
    let rows: Vec<AnchorRow> = heads
        .into_iter()
        .map(|(account_id, links, digest)| AnchorRow { account_id, links, digest: digest.unwrap_or_default() })
        .collect();
    if !rows.is_empty() {
        run!(conn, execute(AnchorRows { anchor: number, rows: &rows }))?;
    }
    Ok(Some(rows))
}

async fn finish(conn: &mut Conn<'_>, number: i64) -> Result<Option<Instant>> {
    let mine = instance::table.filter(instance::anchor.eq(number));
    let free = instance::anchoring_until.eq(None::<Instant>);
    if run!(conn, execute(diesel::update(mine).set(free)))? == 0 {
        return Ok(None);
    }
    run!(conn, get_result(diesel::select(now()))).map(Some)
}

/// The running sum of an anchor. Each account's share is keyed, so that an attacker cannot find other shares with the
/// same sum. Addition ignores the order of accounts, which depends on the server's collation.
struct Counted<'k> {
    keys: &'k AuditKeys,
    anchor: Anchor,
}

impl<'k> Counted<'k> {
    fn new(keys: &'k AuditKeys, key_id: &str, history: &str, number: i64) -> Result<Self> {
        keys.find(key_id).ok_or_else(|| Error::bug("the key of an anchor is missing"))?;
        let anchor = Anchor {
            history: history.to_owned(),
            number,
            at: Instant::from_micros(0),
            accounts: 0,
            links: 0,
            sum: [0; 32],
            key_id: key_id.to_owned(),
            mac: Vec::new(),
        };
        Ok(Self { keys, anchor })
    }

    fn add(&mut self, row: &AnchorRow) {
        let message = Encoding::of("sessile trail share 1")
            .text(Some(&self.anchor.history))
            .number(self.anchor.number)
            .text(Some(&row.account_id))
            .number(row.links)
            .bytes(Some(&row.digest));
        let share = seal(self.keys, &self.anchor.key_id, &message.0).unwrap_or_default();
        let mut carry = 0;
        for (byte, more) in self.anchor.sum.iter_mut().rev().zip(share.iter().rev()) {
            let total = u16::from(*byte) + u16::from(*more) + carry;
            *byte = total.to_be_bytes()[1];
            carry = total >> 8;
        }
        self.anchor.accounts += 1;
        self.anchor.links += row.links;
    }

    fn seal(self, at: Instant) -> Result<Anchor> {
        let mut anchor = Anchor { at: Instant::from_micros(at.micros() / 1_000_000 * 1_000_000), ..self.anchor };
        anchor.mac = seal(self.keys, &anchor.key_id, &anchor.message())
            .ok_or_else(|| Error::bug("the key of an anchor is missing"))?;
        Ok(anchor)
    }
}

fn seal(keys: &AuditKeys, key_id: &str, message: &[u8]) -> Option<Vec<u8>> {
    Some(keys.find(key_id)?.of_account(NOBODY).ok()?.seal(message))
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { history, number, at, accounts, links, sum, key_id, mac } = self;
        let [sum, mac] = [sum.as_slice(), mac].map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let at = at.micros() / 1_000_000;
        write!(f, "{PREFIX}{history}.{number}.{at}.{accounts}.{links}.{sum}.{key_id}.{mac}")
    }
}

impl Anchor {
    /// Finds the anchor in a log line of either format.
    pub fn find(line: &str) -> Option<Self> {
        let is_own = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        line.match_indices(PREFIX).find_map(|(at, _)| {
            let rest = &line[at + PREFIX.len()..];
            let end = rest.bytes().position(|byte| !is_own(byte)).unwrap_or(rest.len());
            Self::parse(&rest[..end])
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let &[history, number, at, accounts, links, sum, key_id, mac] = parts.as_slice() else { return None };
        let at: i64 = at.parse().ok()?;
        Some(Self {
            history: history.to_owned(),
            number: number.parse().ok()?,
            at: Instant::from_micros(at.checked_mul(1_000_000)?),
            accounts: accounts.parse().ok()?,
            links: links.parse().ok()?,
            sum: BASE64_URL_SAFE_NO_PAD.decode(sum).ok()?.try_into().ok()?,
            key_id: key_id.to_owned(),
            mac: BASE64_URL_SAFE_NO_PAD.decode(mac).ok()?,
        })
    }

    fn message(&self) -> Vec<u8> {
        Encoding::of("sessile trail anchor 1")
            .text(Some(&self.history))
            .number(self.number)
            .number(self.at.micros())
            .number(self.accounts)
            .number(self.links)
            .bytes(Some(&self.sum))
            .text(Some(&self.key_id))
            .0
    }
}

/// The result of comparing an anchor with the database.
#[derive(Debug, PartialEq, Eq)]
pub enum Compared {
    /// The anchor's rows are unchanged.
    AsThen,
    /// The anchor's rows were changed, or belong to another database.
    Changed,
    /// The anchor's rows were changed, and the database was restored from an older backup since.
    Restored,
    /// This account was covered by the anchor and no longer exists.
    Gone(String),
    /// The line's seal is invalid.
    Forged,
    /// The line's seal cannot be checked: the key with this id is not in the key file.
    KeyMissing(String),
}

/// Compares an anchor with its rows. It does not walk the chains.
pub async fn compare(conn: &mut Conn<'_>, keys: &AuditKeys, anchor: &Anchor) -> Result<Compared> {
    let Some(key) = keys.find(&anchor.key_id) else { return Ok(Compared::KeyMissing(anchor.key_id.clone())) };
    if !key.of_account(NOBODY)?.sealed(&anchor.message(), &anchor.mac) {
        return Ok(Compared::Forged);
    }
    let mut counted = Counted::new(keys, &anchor.key_id, &anchor.history, anchor.number)?;
    let (mut last, mut open): (_, Option<AnchorRow>) = ((String::new(), 0), None);
    loop {
        let rows = rows_after(conn, anchor.number, &last).await?;
        let Some(newest) = rows.last() else { break };
        last = (newest.account_id.clone(), newest.links);
        if let Some(gone) = first_gone(conn, &rows).await? {
            return Ok(Compared::Gone(gone));
        }
        for row in rows {
            // Only the last row of each account counts.
            if let Some(before) = open.replace(row.clone()).filter(|before| before.account_id != row.account_id) {
                counted.add(&before);
            }
        }
    }
    open.iter().for_each(|row| counted.add(row));
    let Anchor { accounts, links, sum, .. } = counted.anchor;
    if (accounts, links, sum) == (anchor.accounts, anchor.links, anchor.sum) {
        return Ok(Compared::AsThen);
    }
    let history: Option<Option<String>> = find!(conn, first(instance::table.select(instance::history)))?;
    let is_other = history.flatten().unwrap_or_default() != anchor.history;
    Ok(if is_other { Compared::Restored } else { Compared::Changed })
}

async fn rows_after(conn: &mut Conn<'_>, number: i64, last: &(String, i64)) -> Result<Vec<AnchorRow>> {
    let (account, links) = last;
    let same = trail_anchors::account_id.eq(account).and(trail_anchors::links.gt(links));
    let next = trail_anchors::table.filter(trail_anchors::account_id.gt(account).or(same));
    let some = next.filter(trail_anchors::anchor.le(number));
    let some = some.order((trail_anchors::account_id, trail_anchors::links)).limit(ACCOUNTS);
    let rows: Vec<(String, i64, Vec<u8>)> =
        run!(conn, load(some.select((trail_anchors::account_id, trail_anchors::links, trail_anchors::digest))))?;
    Ok(rows.into_iter().map(|(account_id, links, digest)| AnchorRow { account_id, links, digest }).collect())
}

async fn first_gone(conn: &mut Conn<'_>, rows: &[AnchorRow]) -> Result<Option<String>> {
    let mut ids: Vec<&str> = rows.iter().map(|row| row.account_id.as_str()).collect();
    ids.dedup();
    let there = accounts::table.filter(accounts::id.eq_any(&ids)).select(accounts::id);
    let there: Vec<String> = run!(conn, load(there))?;
    Ok(ids.into_iter().find(|id| !there.iter().any(|one| one == id)).map(str::to_owned))
}

/// The number and digest of an account's links that an anchor covers.
pub(super) async fn counted(conn: &mut Conn<'_>, account_id: &str, anchor: i64) -> Result<Option<(i64, Vec<u8>)>> {
    let own = trail_anchors::table.filter(trail_anchors::account_id.eq(account_id));
    let own = own.filter(trail_anchors::anchor.le(anchor)).order(trail_anchors::links.desc());
    find!(conn, first(own.select((trail_anchors::links, trail_anchors::digest))))
}

/// Deletes an account's rows that only anchors older than `cutoff` need.
pub(super) async fn forget(conn: &mut Conn<'_>, account_id: &str, cutoff: Instant) -> Result<()> {
    let old = || {
        let own = trail_anchors::table.filter(trail_anchors::account_id.eq(account_id.to_owned()));
        own.filter(trail_anchors::at.le(cutoff))
    };
    let last: Option<i64> = run!(conn, get_result(old().select(max(trail_anchors::links))))?;
    let Some(last) = last else { return Ok(()) };
    run!(conn, execute(diesel::delete(old().filter(trail_anchors::links.lt(last))))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_found_in_any_line() {
        let anchor = Anchor {
            history: "h-1_".into(),
            number: 7,
            at: Instant::from_micros(1_795_460_400_000_000),
            accounts: 2,
            links: 30,
            sum: [9; 32],
            key_id: "key".into(),
            mac: vec![1; 32],
        };
        for line in [
            anchor.to_string(),
            format!("2026-11-28T05:00:00Z  INFO sessile: digest of the audit trail anchor={anchor}"),
            format!(r#"{{"level":"INFO","fields":{{"message":"trail1.x","anchor":"{anchor}"}},"target":"x"}}"#),
            format!("  {anchor}\n"),
        ] {
            assert_eq!(Anchor::find(&line), Some(anchor.clone()), "{line}");
        }
        for line in ["", "trail1.", "trail1.a.b.c", &anchor.to_string()[..40]] {
            assert_eq!(Anchor::find(line), None, "{line}");
        }
    }
}

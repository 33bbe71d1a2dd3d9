//! Verifies every account's chain and names the first broken link of each. Called by `doctor`.
//!
//! Invariant: memory is bounded whatever the trail's length, and a server that records meanwhile causes no finding.

use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable, Selectable, SelectableHelper as _};

pub use super::finding::{Finding, Wrong};
use super::{
    Kind, anchor,
    chain::{self, Content},
    checkpoint::{self, Checkpoint},
    mark::{self, Mark},
};
use crate::base::{
    db::{
        Conn, Instant, TrailHead, find, run,
        schema::{accounts, audit, trails},
    },
    error::Result,
    keys::AuditKeys,
};

/// Rows that are read at once.
const ROWS: i64 = 500;
/// Findings that are kept; the others are only counted.
const MOST_FINDINGS: usize = 100;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Accounts whose chain was walked.
    pub accounts: u64,
    /// Links that were walked.
    pub links: u64,
    /// Events that are older than the chain of their account, which nothing vouches for.
    pub unchained: u64,
    /// Accounts whose chain is broken.
    pub broken: u64,
    /// Accounts whose chain is whole as far as can be said, with links whose key is not in the key file.
    pub uncheckable: u64,
    /// What is known of the mark that the trail has begun.
    pub mark: Mark,
    /// One for each of those accounts, the first 100 in account order.
    pub findings: Vec<Finding>,
    /// Accounts whose chain does not lead through what an anchor counted: how many, and the first.
    pub astray: (u64, Option<String>),
    /// Events that were removed when they had become too old.
    pub removed: u64,
}

impl Verified {
    /// Whether there is nothing to say.
    pub fn is_whole(&self) -> bool {
        self.broken == 0 && self.uncheckable == 0 && !matches!(self.mark, Mark::Broken | Mark::KeyMissing(_))
    }
}

/// Walks the chains of all accounts.
pub async fn verify(conn: &mut Conn<'_>, keys: &AuditKeys) -> Result<Verified> {
    verify_since(conn, keys, None).await
}

/// Walks the chains of all accounts, and looks whether they lead through what the anchor of this number counted.
pub async fn verify_since(conn: &mut Conn<'_>, keys: &AuditKeys, anchor: Option<i64>) -> Result<Verified> {
    let mut verified = Verified { mark: mark::look(conn, keys).await?, ..Verified::default() };
    let mut last = String::new();
    loop {
        let some = accounts::table.filter(accounts::id.gt(&last)).order(accounts::id).limit(ROWS);
        let ids: Vec<String> = run!(conn, load(some.select(accounts::id)))?;
        let Some(newest) = ids.last() else { return Ok(verified) };
        last.clone_from(newest);
        for id in ids {
            let promise = match anchor {
                Some(number) => anchor::counted(conn, &id, number).await?,
                None => None,
            };
            let finding = walk(conn, keys, id, promise, &mut verified).await?;
            verified.note(finding);
        }
    }
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

/// Walks one chain, and once more if events were removed meanwhile.
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

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = audit)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) at: Instant,
    kind: String,
    actor: String,
    session_id: Option<String>,
    device_id: Option<String>,
    device_name: Option<String>,
    ip: Option<String>,
    detail: Option<String>,
    seq: Option<i64>,
    ip_salt: Option<Vec<u8>>,
    ip_commit: Option<Vec<u8>>,
    key_id: Option<String>,
    mac: Option<Vec<u8>>,
}

/// A walk along one chain, from its beginning or from the checkpoint that stands for it.
pub(super) struct Walk<'k> {
    keys: &'k AuditKeys,
    account_id: String,
    last_id: i64,
    pub(super) links: i64,
    pub(super) unchained: i64,
    pub(super) digest: Vec<u8>,
    has_beginning: bool,
    key_missing: Option<(i64, String)>,
    /// The last links in a row whose seals could not be checked: how many, and the newest.
    unchecked: (u64, i64),
    is_marked: bool,
    /// What an anchor counted, until it turns out to be so.
    promise: Option<(i64, Vec<u8>)>,
}

impl<'k> Walk<'k> {
    pub(super) fn new(keys: &'k AuditKeys, account_id: String, beginning: Option<&Checkpoint>) -> Self {
        Self {
            keys,
            account_id,
            last_id: 0,
            links: beginning.map_or(0, |beginning| beginning.links),
            unchained: beginning.map_or(0, |beginning| beginning.unchained),
            digest: beginning.map_or_else(Vec::new, |beginning| beginning.digest.clone()),
            has_beginning: beginning.is_some(),
            key_missing: None,
            unchecked: (0, 0),
            is_marked: false,
            promise: None,
        }
    }

    /// Whether the checkpoint is as it was sealed. What an anchor counted before it was removed rightly.
    pub(super) fn check_beginning(&mut self, beginning: Option<&Checkpoint>) -> Result<Option<Finding>> {
        let Some(beginning) = beginning else { return Ok(None) };
        match beginning.is_sealed(self.keys, &self.account_id)? {
            Some(true) => {}
            Some(false) => return Ok(Some(self.finding(None, Wrong::Checkpoint))),
            None => return Ok(Some(self.finding(None, Wrong::KeyMissing(beginning.key_id.clone())))),
        }
        if self.promise.as_ref().is_some_and(|(links, _)| *links < beginning.links) {
            self.promise = None;
        }
        self.keep_promise();
        Ok(None)
    }

    /// Forgets what an anchor counted if the chain leads through it.
    fn keep_promise(&mut self) {
        if self.promise.as_ref().is_some_and(|(links, digest)| *links == self.links && *digest == self.digest) {
            self.promise = None;
        }
    }

    /// Walks on to the end. The head is read after the links, so that what is recorded meanwhile is never taken for cut off.
    async fn on(&mut self, conn: &mut Conn<'_>) -> Result<Option<Finding>> {
        let mut promised = 0;
        loop {
            let (rows, head) = self.read(conn).await?;
            if let Some(row) = rows.first()
                && self.is_gap(row)
            {
                return self.gap(conn, row).await.map(Some);
            }
            for row in rows.iter() {
                if self.is_gap(row) {
                    break;
                }
                if let Some(found) = self.step(row)? {
                    return Ok(Some(found));
                }
            }
            let links = head.as_ref().map_or(0, |head| head.links);
            // Links that came after the last read, and before that of the head, are there in the next.
            if rows.is_empty() && (links <= self.links || promised == links) {
                return self.finish(head);
            }
            promised = if rows.is_empty() { links } else { 0 };
        }
    }

    /// The next links, and then the head.
    pub(super) async fn read(&self, conn: &mut Conn<'_>) -> Result<(Vec<Row>, Option<TrailHead>)> {
        let next = audit::table.filter(audit::account_id.eq(&self.account_id)).filter(audit::id.gt(self.last_id));
        let rows = run!(conn, load(next.order(audit::id).limit(ROWS).select(Row::as_select())))?;
        let head = trails::table.find(&self.account_id);
        Ok((rows, find!(conn, first(head.select(TrailHead::as_select())))?))
    }

    /// Whether links are missing before this one, here at least.
    pub(super) fn is_gap(&self, row: &Row) -> bool {
        row.seq.is_some_and(|seq| seq > self.links + 1)
    }

    /// What a gap means: whether the link that is missing stands further on.
    async fn gap(&self, conn: &mut Conn<'_>, row: &Row) -> Result<Finding> {
        let its = audit::table.filter(audit::account_id.eq(&self.account_id));
        let missing = its.filter(audit::seq.eq(self.links + 1)).select(audit::id);
        let further: Option<i64> = find!(conn, first(missing))?;
        Ok(self.finding(Some(row.id), if further.is_some() { Wrong::Reordered } else { Wrong::Missing }))
    }

    /// Takes the next row; what is wrong with it.
    pub(super) fn step(&mut self, row: &Row) -> Result<Option<Finding>> {
        let wrong = |wrong| Ok(Some(self.finding(Some(row.id), wrong)));
        let Some(seq) = row.seq else {
            if self.links > 0 {
                return wrong(Wrong::Inserted);
            }
            self.unchained += 1;
            self.last_id = row.id;
            return Ok(None);
        };
        if seq <= self.links {
            return wrong(Wrong::Inserted);
        }
        let (Some(key_id), Some(mac)) = (&row.key_id, &row.mac) else {
            return wrong(Wrong::Changed);
        };
        let content = row.content(&self.account_id, seq, key_id).encode();
        let sealed = match self.keys.find(key_id) {
            Some(key) => key.of_account(&self.account_id)?.sealed(&chain::link_message(&self.digest, &content), mac),
            None => {
                self.key_missing.get_or_insert_with(|| (row.id, key_id.clone()));
                true
            }
        };
        if !row.is_address_right() {
            return Ok(Some(self.finding(Some(row.id), Wrong::Changed)));
        }
        if !sealed {
            // It does not follow from the one before: if that one alone could not be checked, that is the one.
            let id = if self.unchecked.0 == 1 { self.unchecked.1 } else { row.id };
            return Ok(Some(self.finding(Some(id), Wrong::Changed)));
        }
        self.unchecked = match self.keys.find(key_id) {
            Some(_) => (0, 0),
            None => (self.unchecked.0 + 1, row.id),
        };
        self.has_beginning |= self.links == 0 && row.kind == Kind::AccountCreated.as_str();
        self.digest = chain::digest(&self.digest, &content, mac);
        self.links = seq;
        self.last_id = row.id;
        self.keep_promise();
        Ok(None)
    }

    /// Compares what was walked with the head.
    fn finish(&self, head: Option<TrailHead>) -> Result<Option<Finding>> {
        let wrong = |wrong| Ok(Some(self.finding(None, wrong)));
        let Some(head) = head else { return wrong(Wrong::Head) };
        if head.links > self.links {
            return wrong(Wrong::TailCut(head.links - self.links));
        }
        if self.unchained == 0 && !self.has_beginning {
            return wrong(Wrong::Beginning);
        }
        if head.links == 0 && self.links == 0 && head.mac.is_none() {
            return if self.is_marked { wrong(Wrong::Head) } else { Ok(None) };
        }
        let sealed = head.is_sealed(self.keys)?;
        if head.links == self.links && head.digest.as_ref() != Some(&self.digest) && self.unchecked.0 == 1 {
            return Ok(Some(self.finding(Some(self.unchecked.1), Wrong::Changed)));
        }
        if head.links < self.links || head.digest.as_ref() != Some(&self.digest) || sealed == Some(false) {
            return wrong(Wrong::Head);
        }
        if head.unchained != self.unchained {
            return wrong(Wrong::History);
        }
        if let Some((id, key)) = &self.key_missing {
            return Ok(Some(self.finding(Some(*id), Wrong::KeyMissing(key.clone()))));
        }
        match (sealed, head.key_id) {
            (None, Some(key)) => wrong(Wrong::KeyMissing(key)),
            _ => Ok(None),
        }
    }

    fn finding(&self, audit_id: Option<i64>, wrong: Wrong) -> Finding {
        Finding { account_id: self.account_id.clone(), audit_id, wrong }
    }
}

impl Row {
    fn content<'a>(&'a self, account_id: &'a str, seq: i64, key_id: &'a str) -> Content<'a> {
        Content {
            account_id,
            seq,
            key_id,
            at: self.at,
            kind: &self.kind,
            actor: &self.actor,
            session_id: self.session_id.as_deref(),
            device_id: self.device_id.as_deref(),
            device_name: self.device_name.as_deref(),
            ip_commit: self.ip_commit.as_deref(),
            detail: self.detail.as_deref(),
        }
    }

    /// Whether the address is the one that is in the chain, or was wiped with its salt.
    fn is_address_right(&self) -> bool {
        match (&self.ip, &self.ip_salt, &self.ip_commit) {
            (Some(ip), Some(salt), Some(commit)) => chain::commit(salt, ip) == *commit,
            (None, None, _) => true,
            _ => false,
        }
    }
}

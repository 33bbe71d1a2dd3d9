//! Walks the chain of one account and checks each link. Called by [`verify`](super::verify) and
//! [`retention`](super::retention).
//!
//! Invariant: memory use does not depend on the length of the chain.

use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable, Selectable, SelectableHelper as _};

use super::{
    checkpoint::Checkpoint,
    encoding::{self, Content, digest, link_message},
    event::Kind,
    finding::{Finding, Wrong},
};
use crate::base::{
    db::{
        Conn, Instant, TrailHead, find, run,
        schema::{audit, trails},
    },
    error::Result,
    keys::AuditKeys,
};

/// Rows per batch.
const ROWS: i64 = 500;
/// The kinds of event with which an account's chain begins.
const BEGINNINGS: [&str; 2] = [Kind::AccountCreated.as_str(), Kind::AccountInvited.as_str()];

/// An audit row with its unchecked seal, if it has a seal.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = audit)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(super) struct StoredLink {
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

/// A walk along one chain, from the first event or from the checkpoint.
pub(super) struct Walk<'k> {
    keys: &'k AuditKeys,
    account_id: String,
    last_id: i64,
    pub(super) links: i64,
    pub(super) unchained: i64,
    pub(super) digest: Vec<u8>,
    has_beginning: bool,
    key_missing: Option<(i64, String)>,
    /// The number of links walked since the last one whose key is in the key file, and the id of the newest.
    unchecked: (u64, i64),
    pub(super) is_marked: bool,
    /// Whether the account was deleted, so that the trail must be closed.
    pub(super) is_deleted: bool,
    /// Whether the newest event says that the account was deleted.
    ends_with_deletion: bool,
    /// The number and digest of the links that an anchor covers. `None` once the chain has matched them.
    pub(super) promise: Option<(i64, Vec<u8>)>,
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
            is_deleted: false,
            ends_with_deletion: false,
            promise: None,
        }
    }

    /// Checks the seal of the checkpoint. Drops the promise of an anchor that is older than the checkpoint, because
    /// retention has deleted those links.
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

    /// Drops the promise if the chain matches it at this link.
    fn keep_promise(&mut self) {
        if self.promise.as_ref().is_some_and(|(links, digest)| *links == self.links && *digest == self.digest) {
            self.promise = None;
        }
    }

    /// Walks to the end of the chain. Reads the head after the links. If the head counts more links, reads the links
    /// once more, so that a concurrent write does not look like missing links.
    pub(super) async fn on(&mut self, conn: &mut Conn<'_>) -> Result<Option<Finding>> {
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
            // The head may count links that were written after the links were read. Read the links once more.
            if rows.is_empty() && (links <= self.links || promised == links) {
                return self.finish(head);
            }
            promised = if rows.is_empty() { links } else { 0 };
        }
    }

    /// Reads the next links, then the head.
    pub(super) async fn read(&self, conn: &mut Conn<'_>) -> Result<(Vec<StoredLink>, Option<TrailHead>)> {
        let next = audit::table.filter(audit::account_id.eq(&self.account_id)).filter(audit::id.gt(self.last_id));
        let rows = run!(conn, load(next.order(audit::id).limit(ROWS).select(StoredLink::as_select())))?;
        let head = trails::table.find(&self.account_id);
        Ok((rows, find!(conn, first(head.select(TrailHead::as_select())))?))
    }

    /// Whether the row skips links. They may be missing or stored later.
    pub(super) fn is_gap(&self, row: &StoredLink) -> bool {
        row.seq.is_some_and(|seq| seq > self.links + 1)
    }

    /// Explains a gap: the skipped link is either stored later or missing.
    async fn gap(&self, conn: &mut Conn<'_>, row: &StoredLink) -> Result<Finding> {
        let its = audit::table.filter(audit::account_id.eq(&self.account_id));
        let missing = its.filter(audit::seq.eq(self.links + 1)).select(audit::id);
        let further: Option<i64> = find!(conn, first(missing))?;
        Ok(self.finding(Some(row.id), if further.is_some() { Wrong::Reordered } else { Wrong::Missing }))
    }

    /// Checks the next row and advances past it. Returns the first problem.
    pub(super) fn step(&mut self, row: &StoredLink) -> Result<Option<Finding>> {
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
        let sealed = self.is_sealed(row.id, key_id, &content, mac)?;
        if !row.is_address_right() {
            return Ok(Some(self.finding(Some(row.id), Wrong::Changed)));
        }
        if !sealed {
            // If exactly one link before this could not be checked, blame that link.
            let id = if self.unchecked.0 == 1 { self.unchecked.1 } else { row.id };
            return Ok(Some(self.finding(Some(id), Wrong::Changed)));
        }
        self.unchecked = match self.keys.find(key_id) {
            Some(_) => (0, 0),
            None => (self.unchecked.0 + 1, row.id),
        };
        self.ends_with_deletion = row.kind == Kind::AccountDeleted.as_str();
        self.has_beginning |= self.links == 0 && BEGINNINGS.contains(&row.kind.as_str());
        self.digest = digest(&self.digest, &content, mac);
        self.links = seq;
        self.last_id = row.id;
        self.keep_promise();
        Ok(None)
    }

    /// Whether a link's seal is valid. A link whose key is not in the key file passes, and the missing key is noted.
    fn is_sealed(&mut self, id: i64, key_id: &str, content: &[u8], mac: &[u8]) -> Result<bool> {
        match self.keys.find(key_id) {
            Some(key) => Ok(key.of_account(&self.account_id)?.sealed(&link_message(&self.digest, content), mac)),
            None => {
                self.key_missing.get_or_insert_with(|| (id, key_id.to_owned()));
                Ok(true)
            }
        }
    }

    /// Compares the walked links with the head.
    fn finish(&self, head: Option<TrailHead>) -> Result<Option<Finding>> {
        let wrong = |wrong| Ok(Some(self.finding(None, wrong)));
        let Some(head) = head else { return wrong(Wrong::Head) };
        if head.links > self.links {
            return wrong(Wrong::TailCut(head.links - self.links));
        }
        if head.closed_at.is_some() != self.is_deleted || self.is_deleted && !self.ends_with_deletion {
            return wrong(Wrong::Deletion);
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

impl StoredLink {
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

    /// Whether the address matches its commitment, or was wiped together with its salt.
    fn is_address_right(&self) -> bool {
        match (&self.ip, &self.ip_salt, &self.ip_commit) {
            (Some(ip), Some(salt), Some(commit)) => encoding::commit(salt, ip) == *commit,
            (None, None, _) => true,
            _ => false,
        }
    }
}

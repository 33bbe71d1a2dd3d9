//! The hash chain of an account's events. Called by [`record`](super::record) and [`beginning`](super::beginning).
//!
//! Each link is sealed with HMAC-SHA256 under a key derived for the account. The seal covers the event and the digest
//! of all links before it. The head, one row per account, seals the number of links and their digest. So an attacker
//! who has the database but not the key file cannot change, remove, insert or reorder links, or cut off the newest
//! ones. Events without an account are not chained.
//!
//! The database alone does not show that an account's rows and head were rolled back together to an older state, or
//! that an account was deleted with all its rows. An [`anchor`](super::anchor) in the log does.
//!
//! Invariant: a transaction locks heads in account order, after all its other locks. So links are in commit order, and
//! transactions do not deadlock.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    ExpressionMethods as _, Insertable, QueryDsl as _, SelectableHelper as _,
    dsl::{count_star, max},
};

use super::{
    closing,
    encoding::{Content, commit, digest, link_message},
    event::{Event, Kind},
    mark::{self, Mark, NOBODY},
    repeats,
};
use crate::base::{
    db::{
        Conn, ForUpdate, Instant, TrailHead, TrailHeads, UnorderedNumber, now, run,
        schema::{audit, trails},
    },
    error::{Error, Result},
    keys::{AccountKey, AuditKey, AuditKeys},
};

/// Maximum rows per statement: SQLite accepts 32,766 values.
const ROWS: usize = 1000;
/// Bytes in the salt of an address.
const SALT: usize = 16;
/// Not a valid digest. Links after a tampered head chain to this and never verify.
const TAMPERED: &[u8] = b"torn";

/// Writes `None` as NULL, not DEFAULT: SQLite would need one INSERT per row.
#[derive(Insertable)]
#[diesel(table_name = audit)]
#[diesel(treat_none_as_default_value = false)]
struct Link<'a> {
    id: i64,
    at: Instant,
    kind: Kind,
    account_id: &'a str,
    actor: &'a str,
    session_id: Option<&'a str>,
    device_id: Option<&'a str>,
    device_name: Option<&'a str>,
    ip: Option<&'a str>,
    detail: Option<&'a str>,
    seq: i64,
    ip_salt: Option<Vec<u8>>,
    ip_commit: Option<Vec<u8>>,
    key_id: &'a str,
    mac: Vec<u8>,
}

/// Writes the events of a transaction: locks the heads, inserts the links, and updates the heads.
pub(super) async fn write(conn: &mut Conn<'_>, events: Vec<Event>) -> Result<()> {
    let (events, without_account): (Vec<Event>, Vec<Event>) =
        events.into_iter().partition(|event| event.account_id.is_some());
    if events.is_empty() {
        return write_without_account(conn, without_account).await;
    }
    insert_without_account(conn, without_account).await?;
    let ids: BTreeSet<String> = events.iter().filter_map(|event| event.account_id.clone()).collect();
    let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let keys = conn.audit_keys()?.clone();
    let mut heads = lock_heads(conn, &ids).await?;
    let events = closing::recordable(events, &mut heads);
    if events.is_empty() {
        return Ok(());
    }
    let events = repeats::fold(conn, events).await?;
    // Only unsealed heads need the mark. Usually they belong to accounts that were just created.
    let unsealed = heads.iter().any(|(head, ..)| head.mac.is_none());
    let is_marked = unsealed && mark::look(conn, &keys).await? != Mark::Missing;
    let mut sealer = Sealer::new(heads, &keys, is_marked)?;
    for event in events.iter().filter(|event| event.kind == Kind::AccountDeleted && event.is_own()) {
        let account_id = event.account_id.as_deref().unwrap_or_default();
        let chain = sealer.chains.get(account_id).ok_or_else(|| Error::bug("an account without an audit chain"))?;
        closing::close(conn, &keys, account_id, ([chain.links, chain.unchained], chain.digest.clone())).await?;
    }
    let links = events.iter().map(|event| sealer.link(event)).collect::<Result<Vec<_>>>()?;
    insert(conn, links).await?;
    write_heads(conn, sealer).await
}

/// Inserts links. On distributed tables, each statement has the links of one account, for its worker.
async fn insert(conn: &mut Conn<'_>, mut links: Vec<Link<'_>>) -> Result<()> {
    links.sort_by_key(|link| link.account_id);
    let is_distributed = conn.is_distributed();
    let goes_with = |link: &Link<'_>, next: &Link<'_>| !is_distributed || link.account_id == next.account_id;
    for rows in links.chunk_by(goes_with).flat_map(|rows| rows.chunks(ROWS)) {
        run!(conn, execute(diesel::insert_into(audit::table).values(rows)))?;
    }
    Ok(())
}

async fn write_heads(conn: &mut Conn<'_>, sealer: Sealer<'_>) -> Result<()> {
    for heads in sealer.heads().chunks(conn.at_once(ROWS)) {
        run!(conn, execute(TrailHeads(heads)))?;
    }
    Ok(())
}

/// Writes events without an account. Runs the same statements in the same order as [`write`] does for an account,
/// although there is no head to lock or update. Otherwise the time of a failed login would reveal whether the account
/// exists. Similar statements are not enough, because a connection caches only some prepared statements.
async fn write_without_account(conn: &mut Conn<'_>, events: Vec<Event>) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    lock_existing(conn, &BTreeSet::from([NOBODY])).await?;
    insert_without_account(conn, events).await?;
    let (account_id, key_id) = (NOBODY.to_owned(), Some(String::new()));
    let empty_head = TrailHead {
        account_id,
        links: 0,
        unchained: 0,
        digest: Some(Vec::new()),
        key_id,
        mac: Some(Vec::new()),
        closed_at: None,
    };
    run!(conn, execute(TrailHeads(&[empty_head]))).map(drop)
}

async fn insert_without_account(conn: &mut Conn<'_>, events: Vec<Event>) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let rows = events.iter().map(|event| {
        Ok((
            (audit::account_id.eq(NOBODY), audit::id.eq(UnorderedNumber::new()?), audit::at.eq(now())),
            (audit::kind.eq(event.kind), audit::actor.eq(&event.actor), audit::detail.eq(&event.detail)),
            (audit::session_id.eq(&event.session_id), audit::ip.eq(&event.ip)),
            (audit::device_id.eq(&event.device_id), audit::device_name.eq(&event.device_name)),
        ))
    });
    let rows: Vec<_> = rows.collect::<Result<_>>()?;
    run!(conn, execute(diesel::insert_into(audit::table).values(rows))).map(drop)
}

/// Seals the heads of these accounts, with no links and the number of earlier events. Skips heads that another program
/// has sealed meanwhile. Returns the number of heads sealed here.
pub(super) async fn begin(conn: &mut Conn<'_>, ids: &BTreeSet<&str>, keys: &AuditKeys) -> Result<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    let mut heads = lock_heads(conn, ids).await?;
    heads.retain(|(head, ..)| head.mac.is_none());
    let sealed = heads.len();
    write_heads(conn, Sealer::new(heads, keys, false)?).await?;
    Ok(sealed)
}

/// An account's head, the time, and the id of its newest event. The id may be stale, because the statement reads it
/// before it waits for the lock. It matters only if rows were inserted past the chain: the head counts all recorded
/// events.
pub(super) type LockedHead = (TrailHead, Instant, Option<i64>);

/// Locks the heads of these accounts until the transaction ends. Creates heads for new accounts.
async fn lock_heads(conn: &mut Conn<'_>, ids: &BTreeSet<&str>) -> Result<Vec<LockedHead>> {
    let mut heads = lock_existing(conn, ids).await?;
    if heads.len() < ids.len() {
        let missing = ids.iter().filter(|id| !heads.iter().any(|(head, ..)| head.account_id == **id));
        for id in missing {
            let empty = (trails::account_id.eq(*id), trails::links.eq(0), trails::unchained.eq(0));
            run!(conn, execute(diesel::insert_into(trails::table).values(empty).on_conflict_do_nothing()))?;
        }
        heads = lock_existing(conn, ids).await?;
    }
    let is_new = |head: &TrailHead| head.links == 0 && head.mac.is_none();
    let new: Vec<&str> =
        heads.iter().filter(|(head, ..)| is_new(head)).map(|(head, ..)| head.account_id.as_str()).collect();
    if !new.is_empty() {
        let mut older = BTreeMap::new();
        for new in new.chunks(conn.at_once(new.len())) {
            let those = audit::table.filter(audit::account_id.eq_any(new)).group_by(audit::account_id);
            let some: Vec<(String, i64)> = run!(conn, load(those.select((audit::account_id, count_star()))))?;
            older.extend(some);
        }
        for (head, ..) in heads.iter_mut().filter(|(head, ..)| is_new(head)) {
            head.unchained = older.get(&head.account_id).copied().unwrap_or(0);
        }
    }
    Ok(heads)
}

async fn lock_existing(conn: &mut Conn<'_>, ids: &BTreeSet<&str>) -> Result<Vec<LockedHead>> {
    if conn.is_distributed() {
        let mut heads = Vec::with_capacity(ids.len());
        for id in ids {
            heads.extend(lock_on_worker(conn, id).await?);
        }
        return Ok(heads);
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    let newest = audit::table.filter(audit::account_id.eq(trails::account_id)).select(max(audit::id)).single_value();
    run!(
        conn,
        load(ForUpdate::wait(trails::table.filter(trails::account_id.eq_any(ids)).order(trails::account_id).select((
            TrailHead::as_select(),
            now(),
            newest
        ))))
    )
}

/// Locks one head, with a statement that one worker can run alone: it names the account for each table.
async fn lock_on_worker(conn: &mut Conn<'_>, id: &str) -> Result<Option<LockedHead>> {
    let newest = audit::table.filter(audit::account_id.eq(id)).select(max(audit::id)).single_value();
    let head = trails::table.filter(trails::account_id.eq(id));
    let mut heads: Vec<LockedHead> =
        run!(conn, load(ForUpdate::wait(head.select((TrailHead::as_select(), now(), newest)))))?;
    Ok(heads.pop())
}

/// Appends links to chains.
struct Sealer<'k> {
    key: &'k AuditKey,
    chains: BTreeMap<String, Chain>,
}

struct Chain {
    key: AccountKey,
    at: Instant,
    newest_id: i64,
    links: i64,
    unchained: i64,
    digest: Vec<u8>,
}

impl<'k> Sealer<'k> {
    /// Once the mark is set, only an account that was just created may have an unsealed head.
    fn new(heads: Vec<LockedHead>, keys: &'k AuditKeys, is_marked: bool) -> Result<Self> {
        let key = keys.signing();
        let mut chains = BTreeMap::new();
        for (head, at, newest) in heads {
            let is_new = head.links == 0 && head.mac.is_none();
            let is_tampered =
                if is_new { is_marked && head.unchained > 0 } else { head.is_sealed(keys)? == Some(false) };
            if is_tampered {
                tracing::error!(account = %head.account_id, "invalid seal on the head of an audit chain");
            }
            let digest = if is_tampered { TAMPERED.to_vec() } else { head.digest.unwrap_or_default() };
            let own = key.of_account(&head.account_id)?;
            let newest_id = newest.unwrap_or(0).max(head.links + head.unchained);
            let chain = Chain { key: own, at, newest_id, links: head.links, unchained: head.unchained, digest };
            chains.insert(head.account_id, chain);
        }
        Ok(Self { key, chains })
    }

    fn link<'e>(&mut self, event: &'e Event) -> Result<Link<'e>>
    where
        'k: 'e,
    {
        let account_id = event.account_id.as_deref().unwrap_or_default();
        let chain = self.chains.get_mut(account_id).ok_or_else(|| Error::bug("an account without an audit chain"))?;
        let (ip_salt, ip_commit) = match &event.ip {
            Some(ip) => {
                let mut salt = vec![0; SALT];
                getrandom::fill(&mut salt).map_err(|error| Error::bug(format!("no random bytes: {error}")))?;
                let commit = commit(&salt, ip);
                (Some(salt), Some(commit))
            }
            None => (None, None),
        };
        let mut link = Link {
            id: chain.newest_id + 1,
            at: chain.at,
            kind: event.kind,
            account_id,
            actor: &event.actor,
            session_id: event.session_id.as_deref(),
            device_id: event.device_id.as_deref(),
            device_name: event.device_name.as_deref(),
            ip: event.ip.as_deref(),
            detail: event.detail.as_deref(),
            seq: chain.links + 1,
            ip_salt,
            ip_commit,
            key_id: self.key.id(),
            mac: Vec::new(),
        };
        let content = link.content().encode();
        link.mac = chain.key.seal(&link_message(&chain.digest, &content));
        chain.digest = digest(&chain.digest, &content, &link.mac);
        chain.links += 1;
        chain.newest_id += 1;
        Ok(link)
    }

    fn heads(self) -> Vec<TrailHead> {
        let heads = self.chains.into_iter().map(|(account_id, chain)| {
            let mut head = TrailHead {
                account_id,
                links: chain.links,
                unchained: chain.unchained,
                digest: Some(chain.digest),
                key_id: Some(self.key.id().to_owned()),
                mac: None,
                closed_at: None,
            };
            head.mac = Some(chain.key.seal(&head.message()));
            head
        });
        heads.collect()
    }
}

impl Link<'_> {
    fn content(&self) -> Content<'_> {
        Content {
            account_id: self.account_id,
            seq: self.seq,
            key_id: self.key_id,
            at: self.at,
            kind: self.kind.as_str(),
            actor: self.actor,
            session_id: self.session_id,
            device_id: self.device_id,
            device_name: self.device_name,
            ip_commit: self.ip_commit.as_deref(),
            detail: self.detail,
        }
    }
}

//! The chain of an account's events. Each link is sealed (HMAC-SHA256) under a key of the account's own, over the event
//! and the digest of all links before it; the head, one row an account, is sealed over how many there are and what they
//! come to. So a link cannot be changed, taken out, put in or moved, and the last cannot be cut off, by who has the
//! database and not the key file. Events of nobody are no links.
//!
//! The database alone cannot tell that an account's rows and its head were put back together, all as they once were, nor that
//! an account was taken out with all that was its own. An [`anchor`](super::anchor) in the log can.
//!
//! Invariant: heads are locked in account order and last of all in their transaction, so that links are in the order of
//! commits and nobody waits in a circle.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{ExpressionMethods as _, Insertable, QueryDsl as _, SelectableHelper as _, dsl::count_star};
use futures_util::future::LocalBoxFuture;
use sha2::{Digest as _, Sha256};

use super::{
    Event, Kind,
    mark::{self, Mark},
    repeats,
};
use crate::base::{
    db::{
        Conn, Epilogue, ForUpdate, Instant, TrailHead, TrailHeads, find, now, run,
        schema::{audit, trails},
    },
    error::{Error, Result},
    keys::{AccountKey, AuditKey, AuditKeys},
};

/// Rows that a statement writes at most: SQLite takes 32,766 values.
const ROWS: usize = 1000;
/// Bytes of the salt of an address.
const SALT: usize = 16;
/// What no digest is. What follows a head that is not as it was sealed is chained to this, and so never verifies.
const TORN: &[u8] = b"torn";

/// What a transaction has recorded so far.
#[derive(Default)]
pub(super) struct Pending(Vec<Event>);

impl Pending {
    pub(super) fn add(&mut self, events: &[Event]) {
        self.0.extend_from_slice(events);
    }
}

impl Epilogue for Pending {
    fn run<'c>(self: Box<Self>, conn: &'c mut Conn<'_>) -> LocalBoxFuture<'c, Result<()>> {
        Box::pin(async move { write(conn, self.0).await })
    }
}

/// What a link seals of an event, and the event as it is stored.
pub(super) struct Content<'a> {
    pub account_id: &'a str,
    pub seq: i64,
    pub key_id: &'a str,
    pub at: Instant,
    pub kind: &'a str,
    pub actor: &'a str,
    pub session_id: Option<&'a str>,
    pub device_id: Option<&'a str>,
    pub device_name: Option<&'a str>,
    pub ip_commit: Option<&'a [u8]>,
    pub detail: Option<&'a str>,
}

/// Nothing is NULL, and not the column's default, for which SQLite would need a statement a row.
#[derive(Insertable)]
#[diesel(table_name = audit)]
#[diesel(treat_none_as_default_value = false)]
struct Link<'a> {
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

/// Writes what a transaction has recorded, in three statements.
async fn write(conn: &mut Conn<'_>, events: Vec<Event>) -> Result<()> {
    let (events, of_nobody): (Vec<Event>, Vec<Event>) =
        events.into_iter().partition(|event| event.account_id.is_some());
    if events.is_empty() {
        return write_of_nobody(conn, of_nobody).await;
    }
    insert_of_nobody(conn, of_nobody).await?;
    let ids: BTreeSet<String> = events.iter().filter_map(|event| event.account_id.clone()).collect();
    let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let keys = conn.audit_keys()?.clone();
    let heads = lock_heads(conn, &ids).await?;
    let events = repeats::fold(conn, events).await?;
    // Only then it matters, and that is when an account is made.
    let unsealed = heads.iter().any(|(head, _)| head.mac.is_none());
    let is_marked = unsealed && mark::look(conn, &keys).await? != Mark::Missing;
    let mut sealer = Sealer::new(heads, &keys, is_marked)?;
    let links = events.iter().map(|event| sealer.link(event)).collect::<Result<Vec<_>>>()?;
    for rows in links.chunks(ROWS) {
        run!(conn, execute(diesel::insert_into(audit::table).values(rows)))?;
    }
    for heads in sealer.heads().chunks(ROWS) {
        run!(conn, execute(TrailHeads(heads)))?;
    }
    Ok(())
}

/// Events of nobody, with the very statements that an account's chain takes and in their order, which find no row. Otherwise
/// the time of a failed login would tell whether there is an account. Other statements are not enough, since a connection
/// keeps only some of them prepared.
async fn write_of_nobody(conn: &mut Conn<'_>, events: Vec<Event>) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    lock_existing(conn, &BTreeSet::from([""])).await?;
    insert_of_nobody(conn, events).await?;
    let (account_id, key_id) = (String::new(), Some(String::new()));
    let nobody =
        TrailHead { account_id, links: 0, unchained: 0, digest: Some(Vec::new()), key_id, mac: Some(Vec::new()) };
    run!(conn, execute(TrailHeads(&[nobody]))).map(drop)
}

async fn insert_of_nobody(conn: &mut Conn<'_>, events: Vec<Event>) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = events.iter().map(|event| (event, audit::at.eq(now()))).collect();
    run!(conn, execute(diesel::insert_into(audit::table).values(rows))).map(drop)
}

/// Whether any event was sealed yet.
///
/// # Errors
/// When the database is away.
pub async fn is_begun(conn: &mut Conn<'_>) -> Result<bool> {
    let any: Option<String> = find!(conn, first(trails::table.filter(trails::links.gt(0)).select(trails::account_id)))?;
    Ok(any.is_some())
}

/// Seals the heads of these accounts, as chains of no links after the events from before; of how many. What another program
/// has sealed meanwhile stays.
pub(super) async fn begin(conn: &mut Conn<'_>, ids: &BTreeSet<&str>, keys: &AuditKeys) -> Result<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    let mut heads = lock_heads(conn, ids).await?;
    heads.retain(|(head, _)| head.mac.is_none());
    let sealed = heads.len();
    for heads in Sealer::new(heads, keys, false)?.heads().chunks(ROWS) {
        run!(conn, execute(TrailHeads(heads)))?;
    }
    Ok(sealed)
}

/// The heads of these accounts, locked until the transaction ends, with the time. An account that was just made has
/// none yet.
async fn lock_heads(conn: &mut Conn<'_>, ids: &BTreeSet<&str>) -> Result<Vec<(TrailHead, Instant)>> {
    let mut heads = lock_existing(conn, ids).await?;
    if heads.len() < ids.len() {
        let missing = ids.iter().filter(|id| !heads.iter().any(|(head, _)| head.account_id == **id));
        for id in missing {
            let empty = (trails::account_id.eq(*id), trails::links.eq(0), trails::unchained.eq(0));
            run!(conn, execute(diesel::insert_into(trails::table).values(empty).on_conflict_do_nothing()))?;
        }
        heads = lock_existing(conn, ids).await?;
    }
    let is_new = |head: &TrailHead| head.links == 0 && head.mac.is_none();
    let new: Vec<&str> =
        heads.iter().filter(|(head, _)| is_new(head)).map(|(head, _)| head.account_id.as_str()).collect();
    if !new.is_empty() {
        let older: Vec<(Option<String>, i64)> = run!(
            conn,
            load(
                audit::table
                    .filter(audit::account_id.eq_any(new))
                    .group_by(audit::account_id)
                    .select((audit::account_id, count_star()))
            )
        )?;
        let older: BTreeMap<_, _> = older.into_iter().collect();
        for (head, _) in heads.iter_mut().filter(|(head, _)| is_new(head)) {
            head.unchained = older.get(&Some(head.account_id.clone())).copied().unwrap_or(0);
        }
    }
    Ok(heads)
}

async fn lock_existing(conn: &mut Conn<'_>, ids: &BTreeSet<&str>) -> Result<Vec<(TrailHead, Instant)>> {
    let ids: Vec<&str> = ids.iter().copied().collect();
    run!(
        conn,
        load(ForUpdate::wait(
            trails::table
                .filter(trails::account_id.eq_any(ids))
                .order(trails::account_id)
                .select((TrailHead::as_select(), now()))
        ))
    )
}

/// Puts links at the ends of chains.
struct Sealer<'k> {
    key: &'k AuditKey,
    chains: BTreeMap<String, Chain>,
}

struct Chain {
    key: AccountKey,
    at: Instant,
    links: i64,
    unchained: i64,
    digest: Vec<u8>,
}

impl<'k> Sealer<'k> {
    /// Once the trail is marked as begun, only an account that was just made has a head without its seal.
    fn new(heads: Vec<(TrailHead, Instant)>, keys: &'k AuditKeys, is_marked: bool) -> Result<Self> {
        let key = keys.signing();
        let mut chains = BTreeMap::new();
        for (head, at) in heads {
            let is_new = head.links == 0 && head.mac.is_none();
            let torn = if is_new { is_marked && head.unchained > 0 } else { head.is_sealed(keys)? == Some(false) };
            if torn {
                tracing::error!(account = %head.account_id, "the head of this account's trail is not as it was sealed");
            }
            let digest = if torn { TORN.to_vec() } else { head.digest.unwrap_or_default() };
            let own = key.of_account(&head.account_id)?;
            let chain = Chain { key: own, at, links: head.links, unchained: head.unchained, digest };
            chains.insert(head.account_id, chain);
        }
        Ok(Self { key, chains })
    }

    fn link<'e>(&mut self, event: &'e Event) -> Result<Link<'e>>
    where
        'k: 'e,
    {
        let account_id = event.account_id.as_deref().unwrap_or_default();
        let chain = self.chains.get_mut(account_id).ok_or_else(|| Error::bug("an account without a trail"))?;
        let (ip_salt, ip_commit) = match &event.ip {
            Some(ip) => {
                let mut salt = vec![0; SALT];
                getrandom::fill(&mut salt).map_err(|error| Error::bug(format!("no randomness: {error}")))?;
                let commit = commit(&salt, ip);
                (Some(salt), Some(commit))
            }
            None => (None, None),
        };
        let mut link = Link {
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
            };
            head.mac = Some(chain.key.seal(&head.message()));
            head
        });
        heads.collect()
    }
}

impl TrailHead {
    /// Whether the head is as it was sealed; `None` when that key is not in the file.
    pub(super) fn is_sealed(&self, keys: &AuditKeys) -> Result<Option<bool>> {
        let (Some(key_id), Some(mac)) = (&self.key_id, &self.mac) else {
            return Ok(Some(false));
        };
        match keys.find(key_id) {
            Some(key) => Ok(Some(key.of_account(&self.account_id)?.sealed(&self.message(), mac))),
            None => Ok(None),
        }
    }

    fn message(&self) -> Vec<u8> {
        Encoding::of("sessile trail head 1")
            .text(Some(&self.account_id))
            .number(self.links)
            .number(self.unchained)
            .bytes(self.digest.as_deref())
            .text(self.key_id.as_deref())
            .0
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

impl Content<'_> {
    /// So that no two events are encoded alike.
    pub(super) fn encode(&self) -> Vec<u8> {
        Encoding::of("sessile trail event 1")
            .text(Some(self.account_id))
            .number(self.seq)
            .text(Some(self.key_id))
            .number(self.at.micros())
            .text(Some(self.kind))
            .text(Some(self.actor))
            .text(self.session_id)
            .text(self.device_id)
            .text(self.device_name)
            .bytes(self.ip_commit)
            .text(self.detail)
            .0
    }
}

/// What a link's seal covers: all that was before it, and its own content.
pub(super) fn link_message(before: &[u8], content: &[u8]) -> Vec<u8> {
    Encoding::of("sessile trail link 1").bytes(Some(before)).bytes(Some(content)).0
}

/// What the links come to with this one. It needs no key, so that a link vouches even for those whose key is gone.
pub(super) fn digest(before: &[u8], content: &[u8], mac: &[u8]) -> Vec<u8> {
    let all = Encoding::of("sessile trail digest 1").bytes(Some(before)).bytes(Some(content)).bytes(Some(mac));
    Sha256::digest(all.0).to_vec()
}

/// What stands for an address in the chain. Without its salt it tells nothing of it.
pub(super) fn commit(salt: &[u8], ip: &str) -> Vec<u8> {
    Sha256::new().chain_update(salt).chain_update(ip).finalize().to_vec()
}

/// Fields one after another, each with its length, and told apart from those that are not there.
pub(super) struct Encoding(pub(super) Vec<u8>);

impl Encoding {
    pub(super) fn of(purpose: &str) -> Self {
        Self(Vec::with_capacity(256)).text(Some(purpose))
    }

    pub(super) fn bytes(mut self, field: Option<&[u8]>) -> Self {
        match field {
            Some(field) => {
                self.0.push(1);
                self.0.extend_from_slice(&(field.len() as u64).to_be_bytes());
                self.0.extend_from_slice(field);
            }
            None => self.0.push(0),
        }
        self
    }

    pub(super) fn text(self, field: Option<&str>) -> Self {
        self.bytes(field.map(str::as_bytes))
    }

    pub(super) fn number(self, field: i64) -> Self {
        self.bytes(Some(&field.to_be_bytes()))
    }
}

//! Carries operations out, each once, in the caller's transaction. What the drafts of a call need is read together and
//! written together, however many operations there are.
//!
//! Invariant: the account's row is locked, so that revisions are in the order of commits and one operation that is sent by
//! many at once has one effect.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use super::{
    Changes, Draft,
    book::{Book, Outcome},
    operation::{Action, Operation, Sent},
    result::{First, FirstDraft, OperationResult, Status},
};
use crate::{
    audit::{self, Event, Kind},
    db::{
        Conn, DraftRow, DraftRows, Instant, Locked, now, run,
        schema::{accounts, drafts, operations},
    },
    device::known,
    error::{Error, Result},
    session::{CurrentUser, EndReason, Scope, Who, ends, listing, news},
    text,
};

/// Who sends operations.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The account, the session and the device.
    pub who: Who,
    /// What the device is called.
    pub device_name: String,
    /// From where.
    pub ip: Option<String>,
    /// Whether the password was given lately.
    pub is_confirmed: bool,
}

impl Sender {
    /// By a request of this person, from this address.
    pub fn new(user: &CurrentUser, ip: Option<String>) -> Self {
        Self {
            who: user.who(),
            device_name: user.device_name.clone().unwrap_or_else(|| user.record.client().label()),
            ip,
            is_confirmed: user.is_confirmed(),
        }
    }
}

/// What a call did.
#[derive(Debug)]
pub struct Applied {
    /// In the order of the operations.
    pub results: Vec<OperationResult>,
    /// The account's count of changes now.
    pub revision: i64,
    /// What is news to the client.
    pub changes: Changes,
    /// Whether the session that sent it has ended by it.
    pub ended_itself: bool,
}

/// What a call did, without what is news to its client.
#[derive(Debug)]
pub struct Done {
    /// In the order of the operations.
    pub results: Vec<OperationResult>,
    revision: i64,
    floor: i64,
    ended_itself: bool,
}

/// Carries out what was sent, and reads what is news to a client that knows this revision; `None` when the session has
/// ended.
///
/// # Errors
/// When the database is away.
pub async fn apply(
    conn: &mut Conn<'_>,
    sender: &Sender,
    sent: Vec<Sent>,
    known: Option<i64>,
) -> Result<Option<Applied>> {
    let Some(Done { results, revision, floor, ended_itself }) = carry_out(conn, sender, sent).await? else {
        return Ok(None);
    };
    let changes = super::since(conn, &sender.who.account_id, known, floor, revision).await?;
    Ok(Some(Applied { results, revision, changes, ended_itself }))
}

/// Carries out what was sent; `None` when the session has ended.
///
/// # Errors
/// When the database is away.
pub async fn carry_out(conn: &mut Conn<'_>, sender: &Sender, sent: Vec<Sent>) -> Result<Option<Done>> {
    let account_id = sender.who.account_id.as_str();
    let locked = lock(conn, account_id).await?;
    if !listing::lives(conn, account_id, &sender.who.session_id).await? {
        return Ok(None);
    }
    let mut call = Call::open(conn, sender, &sent, &locked).await?;
    let mut results = Vec::with_capacity(sent.len());
    for one in sent {
        results.push(call.carry_out(conn, one).await?);
    }
    let revision = call.close(conn).await?;
    Ok(Some(Done { results, revision, floor: locked.floor, ended_itself: call.ended_itself }))
}

/// Says that a draft that was split off stands for itself; `false` when the account has none such.
///
/// # Errors
/// When the database is away.
pub async fn resolve(conn: &mut Conn<'_>, sender: &Sender, id: &str) -> Result<bool> {
    let account_id = sender.who.account_id.as_str();
    let locked = lock(conn, account_id).await?;
    let drafts = load_drafts(conn, account_id, &BTreeSet::from([id])).await?;
    let mut book = Book::new(drafts, locked.revision, 0, locked.now, sender.device_name.clone());
    if !book.resolve(id) {
        return Ok(false);
    }
    write_book(conn, account_id, &book).await?;
    Ok(true)
}

/// The account's row while this transaction has it.
struct LockedAccount {
    revision: i64,
    floor: i64,
    now: Instant,
}

async fn lock(conn: &mut Conn<'_>, account_id: &str) -> Result<LockedAccount> {
    let row = accounts::table.filter(accounts::id.eq(account_id));
    let rows: Vec<(i64, i64)> =
        run!(conn, load(Locked::all(row.select((accounts::revision, accounts::drafts_floor)))))?;
    let (revision, floor) = rows.first().copied().ok_or(Error::NotFound)?;
    // After the wait for the lock.
    let now: Instant = run!(conn, get_result(diesel::select(now())))?;
    Ok(LockedAccount { revision, floor, now })
}

async fn load_drafts(conn: &mut Conn<'_>, account_id: &str, ids: &BTreeSet<&str>) -> Result<Vec<Draft>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    run!(
        conn,
        load(
            drafts::table
                .filter(drafts::account_id.eq(account_id).and(drafts::id.eq_any(ids)))
                .select(Draft::as_select())
        )
    )
}

async fn write_book(conn: &mut Conn<'_>, account_id: &str, book: &Book) -> Result<()> {
    let rows: Vec<DraftRow<'_>> = book.changed().into_iter().map(Draft::row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    run!(conn, execute(DraftRows { account_id, drafts: &rows }))?;
    let account = accounts::table.filter(accounts::id.eq(account_id));
    run!(conn, execute(diesel::update(account).set(accounts::revision.eq(book.revision))))?;
    news::drafts_changed(conn, account_id)
}

/// One call while it is carried out.
struct Call<'s> {
    sender: &'s Sender,
    book: Book,
    /// What was carried out before, or just now.
    remembered: BTreeMap<String, Remembered>,
    /// Ids of what was carried out just now.
    fresh: Vec<String>,
    events: Vec<Event>,
    changes: usize,
    ended_itself: bool,
    now: Instant,
}

struct Remembered {
    digest: Vec<u8>,
    first: First,
}

impl<'s> Call<'s> {
    async fn open(conn: &mut Conn<'_>, sender: &'s Sender, sent: &[Sent], locked: &LockedAccount) -> Result<Self> {
        let account_id = sender.who.account_id.as_str();
        let valid = || sent.iter().filter_map(|one| one.operation.as_ref().ok());
        let named = valid().filter_map(|one| one.action.draft()).collect();
        let drafts = load_drafts(conn, account_id, &named).await?;
        let living: i64 = if named.is_empty() {
            0
        } else {
            let living = drafts::account_id.eq(account_id).and(drafts::deleted_at.is_null());
            run!(conn, get_result(drafts::table.filter(living).count()))?
        };
        let book = Book::new(drafts, locked.revision, living, locked.now, sender.device_name.clone());
        let ids: BTreeSet<&str> = valid().map(|one| one.id.as_str()).collect();
        let remembered = remembered(conn, account_id, &ids).await?;
        let (fresh, events) = (Vec::new(), Vec::new());
        Ok(Self { sender, book, remembered, fresh, events, changes: 0, ended_itself: false, now: locked.now })
    }

    async fn carry_out(&mut self, conn: &mut Conn<'_>, sent: Sent) -> Result<OperationResult> {
        let operation = match sent.operation {
            Ok(operation) => operation,
            Err(error) => return Ok(OperationResult::rejected(sent.id, error)),
        };
        if let Some(before) = self.remembered.get(&operation.id) {
            return Ok(if before.digest == operation.digest {
                before.first.again(sent.id, &operation.action)
            } else {
                let words = "another operation was sent under this id before".to_owned();
                OperationResult::rejected(sent.id, Error::Conflict(words))
            });
        }
        let before = self.book.revision;
        let outcome = match &operation.action {
            Action::Put { draft, text, base } => self.book.put(draft, text, *base)?,
            Action::Delete { draft, base } => self.book.delete(draft, *base),
            Action::Rename { device, name } => self.rename(conn, device, name).await?,
            Action::LogOut { session } => self.log_out(conn, session).await?,
        };
        self.changes += usize::from(self.book.revision > before);
        Ok(self.remember(sent.id, operation, outcome))
    }

    fn remember(&mut self, id: Option<String>, operation: Operation, outcome: Outcome) -> OperationResult {
        let (status, draft) = match outcome {
            Outcome::Rejected(error) => return OperationResult::rejected(id, error),
            Outcome::Applied(draft) => (Status::Applied, draft),
            Outcome::Conflict(draft) => (Status::Conflict, draft),
        };
        if status == Status::Conflict {
            let about = operation.action.draft().unwrap_or_default();
            self.events.push(self.event(Kind::SyncConflict).detail(about));
        }
        let first = First { status, draft: draft.as_ref().map(FirstDraft::from) };
        self.fresh.push(operation.id.clone());
        self.remembered.insert(operation.id, Remembered { digest: operation.digest, first });
        OperationResult { id, status, first: None, draft, problem: None }
    }

    async fn rename(&mut self, conn: &mut Conn<'_>, id: &str, name: &str) -> Result<Outcome> {
        if !text::is_id(id) {
            return Ok(Outcome::Rejected(Error::NotFound));
        }
        let Some(was) = known::rename(conn, &self.sender.who.account_id, id, name).await? else {
            return Ok(Outcome::Rejected(Error::NotFound));
        };
        if self.sender.who.device_id.as_deref() == Some(id) {
            name.clone_into(&mut self.book.device_name);
        }
        if was != name {
            let event = self.event(Kind::DeviceRenamed).device(Some(id), Some(name));
            self.events.push(event.detail(&format!("was {was}")));
        }
        Ok(Outcome::Applied(None))
    }

    /// Of another device only with a password that was given lately, as everywhere.
    async fn log_out(&mut self, conn: &mut Conn<'_>, id: &str) -> Result<Outcome> {
        let Who { account_id, session_id, device_id } = &self.sender.who;
        if !text::is_id(id) {
            return Ok(Outcome::Rejected(Error::NotFound));
        }
        let Some((record, _)) = listing::one(conn, account_id, id).await? else {
            return Ok(Outcome::Rejected(Error::NotFound));
        };
        let is_here = record.id == *session_id || (device_id.is_some() && record.device_id == *device_id);
        if !(is_here || self.sender.is_confirmed) {
            return Ok(Outcome::Rejected(Error::ConfirmationRequired));
        }
        let one = Scope::OneOf { account: account_id.clone(), id: id.to_owned() };
        ends::end(conn, &one, EndReason::LoggedOut, account_id, self.sender.ip.as_deref()).await?;
        self.ended_itself |= record.id == *session_id;
        Ok(Outcome::Applied(None))
    }

    fn event(&self, kind: Kind) -> Event {
        let Sender { who, device_name, ip, .. } = self.sender;
        Event::of(kind, &who.account_id)
            .session(&who.session_id)
            .device(who.device_id.as_deref(), Some(device_name))
            .ip(ip.as_deref())
    }

    /// Writes what the call did; the account's revision.
    async fn close(&mut self, conn: &mut Conn<'_>) -> Result<i64> {
        let account_id = self.sender.who.account_id.as_str();
        write_book(conn, account_id, &self.book).await?;
        let rows = self.fresh.iter().filter_map(|id| Some((id, self.remembered.get(id)?)));
        let rows = rows
            .map(|(id, Remembered { digest, first })| {
                let first = serde_json::to_string(first).map_err(Error::bug)?;
                Ok((
                    operations::account_id.eq(account_id),
                    operations::id.eq(id),
                    operations::digest.eq(digest),
                    operations::result.eq(first),
                    operations::at.eq(self.now),
                ))
            })
            .collect::<Result<Vec<_>>>()?;
        if !rows.is_empty() {
            run!(conn, execute(diesel::insert_into(operations::table).values(rows)))?;
        }
        self.note_changes(conn).await?;
        if !self.events.is_empty() {
            audit::record(conn, &self.events).await?;
        }
        Ok(self.book.revision)
    }

    /// Pages save at each pause of typing: of edits alone the trail tells once in a while.
    async fn note_changes(&mut self, conn: &mut Conn<'_>) -> Result<()> {
        if self.changes == 0 {
            return Ok(());
        }
        let is_news = match &self.sender.who.device_id {
            Some(device) => known::note_sync(conn, device, self.book.is_more_than_edited).await?,
            None => true,
        };
        if is_news {
            let words = if self.changes == 1 { "1 change".to_owned() } else { format!("{} changes", self.changes) };
            self.events.insert(0, self.event(Kind::SyncApplied).detail(&words));
        }
        Ok(())
    }
}

async fn remembered(
    conn: &mut Conn<'_>,
    account_id: &str,
    ids: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Remembered>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    let rows: Vec<(String, Vec<u8>, String)> = run!(
        conn,
        load(operations::table.filter(operations::account_id.eq(account_id).and(operations::id.eq_any(ids))).select((
            operations::id,
            operations::digest,
            operations::result
        )))
    )?;
    rows.into_iter()
        .map(|(id, digest, result)| {
            let first = serde_json::from_str(&result).map_err(Error::bug)?;
            Ok((id, Remembered { digest, first }))
        })
        .collect()
}

impl Action {
    /// The draft that it is about.
    pub fn draft(&self) -> Option<&str> {
        match self {
            Self::Put { draft, .. } | Self::Delete { draft, .. } => Some(draft),
            Self::Rename { .. } | Self::LogOut { .. } => None,
        }
    }
}

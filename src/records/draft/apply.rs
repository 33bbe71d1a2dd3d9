//! Carries operations out, each once, in the caller's transaction. What the drafts of a call need is read together and
//! written together, however many operations there are.
//!
//! Invariant: the account's row is locked, so that revisions are in the order of commits and one operation that is sent by
//! many at once has one effect.

use std::collections::BTreeSet;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, SelectableHelper as _,
    dsl::{count_star, sum},
};

use super::{
    Changes, Draft,
    book::{Book, Held},
    call::Call,
    operation::Sent,
    portion,
    result::OperationResult,
    revision::{Known, Revision},
    sweep,
};
use crate::{
    base::{
        db::{
            Conn, Db, DraftRow, DraftRows, find, octet_length, run,
            schema::{accounts, drafts},
        },
        error::{Away, Error, Result},
    },
    records::{
        device::known::Facts,
        instance::history::{self, History},
        news,
        session::{Acting, CurrentUser, Reach, Who},
    },
};

/// Who sends operations.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The account, the session and the device.
    pub who: Who,
    /// The session and the key that it came with.
    pub acting: Acting,
    /// What the device is called.
    pub device_name: String,
    /// From where.
    pub ip: Option<String>,
    /// Whether the password was given lately.
    pub is_confirmed: bool,
    /// Bytes of drafts for which the account has room.
    pub room: u64,
}

impl Sender {
    /// By a request of this person, from this address, with this much room for drafts.
    pub fn new(user: &CurrentUser, ip: Option<String>, room: u64) -> Self {
        Self {
            who: user.who(),
            acting: user.acting(),
            device_name: user.device_name.clone().unwrap_or_else(|| user.record.client().label()),
            ip,
            is_confirmed: user.is_confirmed(),
            room,
        }
    }
}

/// What a call did.
#[derive(Debug)]
pub struct Applied {
    /// In the order of the operations.
    pub results: Vec<OperationResult>,
    /// How far the client has got with this.
    pub revision: Revision,
    /// What is news to the client.
    pub changes: Changes,
    /// What the sender's device is called now.
    pub device_name: String,
    /// Whether the session that sent it has ended by it.
    pub ended_itself: bool,
}

/// What a call did, without what is news to its client.
#[derive(Debug)]
pub struct Done {
    /// In the order of the operations.
    pub results: Vec<OperationResult>,
    revision: Revision,
    floor: i64,
    device_name: String,
    ended_itself: bool,
}

/// Why nothing was done.
#[derive(Debug)]
pub enum Stop {
    /// The session has ended.
    Ended,
    /// The history of this id has lost changes, or may have: a new one has to begin first.
    Lost(String),
}

/// Runs a transaction on drafts, and once more in a new history if this one has lost changes. `None` when the session has
/// ended.
pub async fn in_present_history<T, Work>(db: &Db, work: impl Fn() -> Work) -> Result<Option<T>>
where
    T: Send + 'static,
    Work: AsyncFnOnce(&mut Conn<'_>) -> Result<Result<T, Stop>> + Send + 'static,
{
    for _ in 0..2 {
        match db.write(work()).await? {
            Ok(done) => return Ok(Some(done)),
            Err(Stop::Ended) => return Ok(None),
            Err(Stop::Lost(history)) => history::begin_anew(db, &history).await?,
        }
    }
    Err(Error::unavailable(Away::Database, "it fails over just now"))
}

/// Carries out what was sent, after noting what the sender's program says of itself, and reads what is news to a client that
/// knows this revision.
pub async fn apply(
    conn: &mut Conn<'_>,
    sender: &Sender,
    sent: Vec<Sent>,
    known: Option<&Known>,
    facts: &Facts,
) -> Result<Result<Applied, Stop>> {
    let locked = match lock_living(conn, sender, reach_of(&sent)).await? {
        Ok(locked) => locked,
        Err(stop) => return Ok(Err(stop)),
    };
    if known.is_some_and(|known| known.proves_loss(&locked)) {
        return Ok(Err(Stop::Lost(locked.history.id)));
    }
    let done = carry_out_locked(conn, sender, sent, facts, locked).await?;
    let Done { results, revision, floor, device_name, ended_itself } = done;
    let (changes, revision) = portion::since(conn, &sender.who.account_id, known, floor, &revision).await?;
    Ok(Ok(Applied { results, revision, changes, device_name, ended_itself }))
}

/// Carries out what was sent, after noting what the sender's program says of itself.
pub async fn carry_out(
    conn: &mut Conn<'_>,
    sender: &Sender,
    sent: Vec<Sent>,
    facts: &Facts,
) -> Result<Result<Done, Stop>> {
    match lock_living(conn, sender, reach_of(&sent)).await? {
        Ok(locked) => carry_out_locked(conn, sender, sent, facts, locked).await.map(Ok),
        Err(stop) => Ok(Err(stop)),
    }
}

async fn carry_out_locked(
    conn: &mut Conn<'_>,
    sender: &Sender,
    sent: Vec<Sent>,
    facts: &Facts,
    locked: LockedAccount,
) -> Result<Done> {
    let sender = &Sender { who: locked.who.clone(), ..sender.clone() };
    let mut call = Call::open(conn, sender, &sent, &locked).await?;
    call.note(conn, facts).await?;
    let results = sent.into_iter().map(|one| call.carry_out(one)).collect::<Result<Vec<_>>>()?;
    let count = call.close(conn).await?;
    let Call { book, ended_itself, .. } = call;
    let revision = Revision { history: locked.history.id, count, began: None };
    Ok(Done { results, revision, floor: locked.floor, device_name: book.device_name, ended_itself })
}

/// Which sessions the operations may end.
fn reach_of(sent: &[Sent]) -> Reach {
    let ends_some = sent.iter().any(|one| one.ends_session().is_some());
    if ends_some { Reach::AllSessions } else { Reach::Itself }
}

/// The account's row while this transaction has it.
pub(super) struct LockedAccount {
    pub(super) revision: i64,
    floor: i64,
    pub(super) history: History,
    /// Who sends, under the session's present id.
    who: Who,
}

/// Locks the sender's account and what it reaches, if the session lives and the history goes on.
pub(super) async fn lock_living(
    conn: &mut Conn<'_>,
    sender: &Sender,
    reach: Reach,
) -> Result<Result<LockedAccount, Stop>> {
    let Some(who) = sender.acting.hold(conn, reach).await? else {
        return Ok(Err(Stop::Ended));
    };
    let row = accounts::table.filter(accounts::id.eq(&who.account_id));
    let (revision, floor): (i64, i64) =
        find!(conn, first(row.select((accounts::revision, accounts::drafts_floor))))?.ok_or(Error::NotFound)?;
    let history = history::present(conn).await?;
    if history.is_over {
        return Ok(Err(Stop::Lost(history.id)));
    }
    Ok(Ok(LockedAccount { revision, floor, history, who }))
}

pub(super) async fn load_drafts(conn: &mut Conn<'_>, account_id: &str, ids: &BTreeSet<&str>) -> Result<Vec<Draft>> {
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

/// What the account's drafts that are not deleted come to.
pub(super) async fn held(conn: &mut Conn<'_>, account_id: &str) -> Result<Held> {
    let living = drafts::account_id.eq(account_id).and(drafts::deleted_at.is_null());
    let all = drafts::table.filter(living).select((count_star(), sum(octet_length(drafts::text))));
    let (drafts, bytes): (i64, Option<i64>) = run!(conn, get_result(all))?;
    Ok(Held { drafts, bytes: u64::try_from(bytes.unwrap_or(0)).unwrap_or(0) })
}

pub(super) async fn write_book(conn: &mut Conn<'_>, account_id: &str, book: &Book) -> Result<()> {
    let rows: Vec<DraftRow<'_>> = book.changed().into_iter().map(Draft::row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    run!(conn, execute(DraftRows { account_id, drafts: &rows }))?;
    let account = accounts::table.filter(accounts::id.eq(account_id));
    run!(conn, execute(diesel::update(account).set(accounts::revision.eq(book.revision))))?;
    if book.is_more_than_edited {
        sweep::forget_most_deleted(conn, account_id).await?;
    }
    news::drafts_changed(conn, account_id)
}

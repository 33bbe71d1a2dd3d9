//! The sender of operations, and the lock under which they are applied. Used by `apply` and `choice`.
//!
//! Locks, in this order: the account's row; the sending session, or all live sessions by id; devices.
//!
//! Invariant: operations are applied only while the account's row is locked. Revisions are therefore in commit order,
//! and an operation that is sent several times at once takes effect once.

use crate::{
    base::{
        db::{Conn, Db},
        error::{Away, Error, Result},
    },
    records::{
        draft::{book::Moment, statements},
        instance::history,
        session::{Acting, CurrentUser, Reach, Who},
    },
};

/// The sender of operations.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The account, the session and the device.
    pub who: Who,
    /// The session and its presented key.
    pub acting: Acting,
    pub device_name: String,
    /// The client's IP address.
    pub ip: Option<String>,
    /// Whether the person confirmed with their password recently.
    pub is_confirmed: bool,
    /// Most bytes of drafts that the account may have.
    pub room: u64,
}

impl Sender {
    /// Builds the sender of a request. `room` is the most bytes of drafts that the account may have.
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

/// Why the operations were not applied.
#[derive(Debug)]
pub(super) enum Stop {
    /// The session has ended.
    Ended,
    /// The history with this id has lost changes, or may have. A new history must begin first.
    Lost(String),
}

/// The account's row, locked by this transaction.
pub(super) struct LockedAccount {
    pub(super) revision: i64,
    pub(super) floor: i64,
    pub(super) history_id: String,
    pub(super) moment: Moment,
    /// The sender, with the session's current id.
    pub(super) who: Who,
}

/// Runs a transaction on drafts. If the current history has lost changes, begins a new history and runs it once more.
/// Returns `None` if the session has ended.
pub(super) async fn in_present_history<T, Work>(db: &Db, work: impl Fn() -> Work) -> Result<Option<T>>
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
    Err(Error::unavailable(Away::Database, "the database is failing over"))
}

/// Locks the sender's account and the sessions within `reach`. Stops if the session has ended or the history is over.
pub(super) async fn lock(conn: &mut Conn<'_>, sender: &Sender, reach: Reach) -> Result<Result<LockedAccount, Stop>> {
    let Some(who) = sender.acting.hold(conn, reach).await? else {
        return Ok(Err(Stop::Ended));
    };
    let statements::Counts { revision, floor } = statements::counts(conn, &who.account_id).await?;
    let history = history::present(conn).await?;
    if history.is_over {
        return Ok(Err(Stop::Lost(history.id)));
    }
    let moment = Moment { now: history.now, version_floor: history.version_floor };
    Ok(Ok(LockedAccount { revision, floor, history_id: history.id, moment, who }))
}

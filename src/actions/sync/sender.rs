//! Who sends operations, and the lock under which they are carried out.
//!
//! Locks, in this order: the account's row; the session that sends, or all live sessions by id; devices.
//!
//! Invariant: the account's row is locked, so that revisions are in the order of commits, and an operation that is sent
//! several times at once has one effect.

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

/// Who sends operations.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The account, the session and the device.
    pub who: Who,
    /// The session and the key that it came with.
    pub acting: Acting,
    /// The device's name.
    pub device_name: String,
    /// The address of the request.
    pub ip: Option<String>,
    /// Whether the password was given lately.
    pub is_confirmed: bool,
    /// Bytes of drafts for which the account has room.
    pub room: u64,
}

impl Sender {
    /// The person of a request from this address, with this much room for drafts.
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

/// Why nothing was done.
#[derive(Debug)]
pub(super) enum Stop {
    /// The session has ended.
    Ended,
    /// The history with this id has lost changes, or may have: a new one has to begin first.
    Lost(String),
}

/// The account's row while this transaction holds its lock.
pub(super) struct LockedAccount {
    pub(super) revision: i64,
    pub(super) floor: i64,
    pub(super) history_id: String,
    pub(super) moment: Moment,
    /// Who sends, under the session's present id.
    pub(super) who: Who,
}

/// Runs a transaction on drafts, and once more in a new history if the present one has lost changes. `None` when the session
/// has ended.
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
    Err(Error::unavailable(Away::Database, "it fails over just now"))
}

/// Locks the sender's account and the sessions that it reaches, if the session lives and the history goes on.
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

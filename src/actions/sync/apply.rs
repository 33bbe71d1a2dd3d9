//! Applies one sync call. All drafts that the call needs are read together and written together, regardless of the
//! number of operations. Called by the sync API and by the drafts page.
//!
//! Invariant: each operation takes effect once.

use super::{
    batch::Batch,
    sender::{LockedAccount, Sender, Stop, in_present_history, lock},
};
use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        device::known::Facts,
        draft::{
            Changes,
            operation::Sent,
            portion,
            result::OperationResult,
            revision::{ClientRevision, Revision},
        },
        session::Reach,
    },
};

/// The result of a sync call.
#[derive(Debug)]
pub struct Applied {
    /// One result per operation, in the same order.
    pub results: Vec<OperationResult>,
    /// The client's new revision.
    pub revision: Revision,
    /// The drafts that are new to the client.
    pub changes: Changes,
    /// The current name of the sender's device.
    pub device_name: String,
    /// Whether the call ended the sender's own session.
    pub ended_itself: bool,
}

/// The result of the operations of a call, before the changes are read.
struct CarriedOut {
    results: Vec<OperationResult>,
    revision: Revision,
    floor: i64,
    device_name: String,
    ended_itself: bool,
}

/// Applies the operations and reads the changes that are new to a client at the `known` revision. First stores the
/// `facts` that the client reported about itself. Returns `None` if the session has ended. Calls `sent` again if the
/// transaction is retried.
pub async fn apply(
    db: &Db,
    sender: &Sender,
    sent: impl Fn() -> Vec<Sent>,
    known: Option<&ClientRevision>,
    facts: &Facts,
) -> Result<Option<Applied>> {
    in_present_history(db, || {
        let (sender, sent, known, facts) = (sender.clone(), sent(), known.cloned(), facts.clone());
        async move |conn: &mut Conn<'_>| apply_in(conn, &sender, sent, known.as_ref(), &facts).await
    })
    .await
}

/// Applies the operations without reading changes. Returns `None` if the session has ended. Calls `sent` again if the
/// transaction is retried.
pub async fn carry_out(db: &Db, sender: &Sender, sent: impl Fn() -> Vec<Sent>) -> Result<Option<Vec<OperationResult>>> {
    in_present_history(db, || {
        let (sender, sent) = (sender.clone(), sent());
        async move |conn: &mut Conn<'_>| carry_out_in(conn, &sender, sent).await
    })
    .await
}

async fn apply_in(
    conn: &mut Conn<'_>,
    sender: &Sender,
    sent: Vec<Sent>,
    known: Option<&ClientRevision>,
    facts: &Facts,
) -> Result<Result<Applied, Stop>> {
    let locked = match lock(conn, sender, reach_of(&sent)).await? {
        Ok(locked) => locked,
        Err(stop) => return Ok(Err(stop)),
    };
    if known.is_some_and(|known| known.proves_loss(&locked.history_id, locked.revision)) {
        return Ok(Err(Stop::Lost(locked.history_id)));
    }
    let carried_out = carry_out_locked(conn, sender, sent, facts, locked).await?;
    let CarriedOut { results, revision, floor, device_name, ended_itself } = carried_out;
    let (changes, revision) = portion::since(conn, &sender.who.account_id, known, floor, &revision).await?;
    Ok(Ok(Applied { results, revision, changes, device_name, ended_itself }))
}

async fn carry_out_in(
    conn: &mut Conn<'_>,
    sender: &Sender,
    sent: Vec<Sent>,
) -> Result<Result<Vec<OperationResult>, Stop>> {
    match lock(conn, sender, reach_of(&sent)).await? {
        Ok(locked) => {
            let carried_out = carry_out_locked(conn, sender, sent, &Facts::default(), locked).await?;
            Ok(Ok(carried_out.results))
        }
        Err(stop) => Ok(Err(stop)),
    }
}

async fn carry_out_locked(
    conn: &mut Conn<'_>,
    sender: &Sender,
    sent: Vec<Sent>,
    facts: &Facts,
    locked: LockedAccount,
) -> Result<CarriedOut> {
    let sender = &Sender { who: locked.who.clone(), ..sender.clone() };
    let mut batch = Batch::open(conn, sender, &sent, &locked).await?;
    batch.note(conn, facts).await?;
    let results = sent.into_iter().map(|one| batch.carry_out(one)).collect::<Result<Vec<_>>>()?;
    let count = batch.close(conn).await?;
    let Batch { book, ended_itself, .. } = batch;
    let revision = Revision { history: locked.history_id, count, began: None };
    Ok(CarriedOut { results, revision, floor: locked.floor, device_name: book.device_name, ended_itself })
}

/// The sessions that the operations may end.
fn reach_of(sent: &[Sent]) -> Reach {
    let ends_some = sent.iter().any(|one| one.ends_session().is_some());
    if ends_some { Reach::AllSessions } else { Reach::Itself }
}

//! A person resolves a conflict by keeping one version of a draft, or both. Called by the drafts page for browsers
//! without JavaScript.
//!
//! Invariant: a version is discarded only if neither version has changed since the person saw them.

use std::collections::BTreeSet;

use super::sender::{Sender, Stop, in_present_history, lock};
use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        draft::{
            book::{Book, Chosen, Keep, Pair},
            statements,
        },
        session::Reach,
    },
};

/// Keeps one of two versions. Idempotent. Returns `None` if the session has ended.
pub async fn choose(db: &Db, sender: &Sender, pair: &Pair, keep: Keep) -> Result<Option<Chosen>> {
    in_present_history(db, || {
        let (sender, pair) = (sender.clone(), pair.clone());
        async move |conn: &mut Conn<'_>| {
            let ids = BTreeSet::from([pair.one.as_str(), pair.other.as_str()]);
            change(conn, &sender, &ids, |book| book.choose(&pair, keep)).await
        }
    })
    .await
}

/// Makes a split-off draft independent. Idempotent. Returns `None` if the session has ended.
pub async fn keep_both(db: &Db, sender: &Sender, id: &str) -> Result<Option<Chosen>> {
    in_present_history(db, || {
        let (sender, id) = (sender.clone(), id.to_owned());
        async move |conn: &mut Conn<'_>| {
            change(conn, &sender, &BTreeSet::from([id.as_str()]), |book| book.resolve(&id)).await
        }
    })
    .await
}

async fn change(
    conn: &mut Conn<'_>,
    sender: &Sender,
    ids: &BTreeSet<&str>,
    change: impl FnOnce(&mut Book) -> Chosen,
) -> Result<Result<Chosen, Stop>> {
    let account_id = sender.who.account_id.as_str();
    let locked = match lock(conn, sender, Reach::Itself).await? {
        Ok(locked) => locked,
        Err(stop) => return Ok(Err(stop)),
    };
    let drafts = statements::load(conn, account_id, ids).await?;
    let mut book = Book::new(drafts, locked.revision, locked.moment, sender.device_name.clone());
    let chosen = change(&mut book);
    statements::write(conn, account_id, &book).await?;
    Ok(Ok(chosen))
}

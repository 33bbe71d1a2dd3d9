//! The choice between the two versions that a conflict has left. Called by the drafts page for who uses it by forms.
//!
//! Invariant: nothing is thrown away but what stood beside what was kept when the person chose.

use std::collections::BTreeSet;

use super::{
    apply::{Sender, Stop, load_drafts, lock_living, write_book},
    book::{Book, Chosen, Keep},
};
use crate::{
    base::{db::Conn, error::Result},
    records::session::Reach,
};

/// A draft and what was split off it, each in the version in which it was shown.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The draft.
    pub one: String,
    /// Its version.
    pub version: i64,
    /// What was split off it.
    pub other: String,
    /// Its version.
    pub other_version: i64,
}

/// Keeps one of two versions. Done twice it has one effect.
pub async fn choose(conn: &mut Conn<'_>, sender: &Sender, pair: &Pair, keep: Keep) -> Result<Result<Chosen, Stop>> {
    let ids = BTreeSet::from([pair.one.as_str(), pair.other.as_str()]);
    changing(conn, sender, &ids, |book| book.choose(pair, keep)).await
}

/// Says that a draft that was split off stands for itself. Done twice it has one effect.
pub async fn keep_both(conn: &mut Conn<'_>, sender: &Sender, id: &str) -> Result<Result<Chosen, Stop>> {
    changing(conn, sender, &BTreeSet::from([id]), |book| book.resolve(id)).await
}

async fn changing(
    conn: &mut Conn<'_>,
    sender: &Sender,
    ids: &BTreeSet<&str>,
    change: impl FnOnce(&mut Book) -> Chosen,
) -> Result<Result<Chosen, Stop>> {
    let account_id = sender.who.account_id.as_str();
    let locked = match lock_living(conn, sender, Reach::Itself).await? {
        Ok(locked) => locked,
        Err(stop) => return Ok(Err(stop)),
    };
    let drafts = load_drafts(conn, account_id, ids).await?;
    let mut book = Book::new(drafts, locked.revision, locked.history, sender.device_name.clone());
    let chosen = change(&mut book);
    write_book(conn, account_id, &book).await?;
    Ok(Ok(chosen))
}

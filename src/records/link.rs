//! One-time links: the owner's set-up, invitations, new passwords, hand-overs to a phone. Called by `actions::links`, by the
//! setup, and by the sweep.
//!
//! A link is found by the hash of its token alone, so `account_of_link` says whose it is. The link that creates the owner
//! belongs to no account: its account is [`NOBODY`].
//!
//! Invariant: a link works for its one purpose, until it has been used once or has expired. Only the hash of its token is
//! stored.

use std::time::Duration;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};
use serde_json::{Value, json};

use crate::base::{
    db::{
        Conn, Db, Instant, before_now, find, from_now, now, run,
        schema::{account_of_link, links},
        words,
    },
    error::Result,
    secret::Secret,
};

words! {
    /// What a link is for.
    pub enum Purpose {
        /// To create the owner.
        Setup = "setup",
        /// To choose the first password of an account.
        Invitation = "invitation",
        /// To choose a new password.
        Password = "password",
        /// To sign in on another device.
        HandOver = "hand-over",
        /// To end a session that the person does not recognize.
        NotMe = "not-me",
        /// To prove that an address belongs to the person.
        Address = "address",
    }
}

/// The account of links that belong to none.
pub const NOBODY: &str = "";

/// How long the row of a used or expired link is kept. Its holder is told that the link no longer works either way; the
/// rows bound how often a person may ask for one.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// The most links of one account. Those that no longer work go first, then the oldest.
const MOST: usize = 100;
/// The most links that one transaction deletes.
const BATCH: i64 = 500;

/// A link, whether it still works or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub account_id: String,
    pub purpose: Purpose,
    /// What it is about, such as a device.
    pub about: Option<String>,
    /// As in [`New`].
    pub made_by: String,
    pub made_at: Instant,
    pub expires_at: Instant,
    /// Whether it was used.
    pub is_used: bool,
    /// Whether it has neither been used nor expired.
    pub is_good: bool,
}

/// A new link.
#[derive(Debug, Clone)]
pub struct Made {
    /// Shown once, to whoever hands the link over.
    pub token: Secret,
    pub expires_at: Instant,
}

/// A link to make.
#[derive(Debug, Clone)]
pub struct New<'a> {
    pub purpose: Purpose,
    /// What it is about, such as a device.
    pub about: Option<&'a str>,
    pub life: Duration,
    /// The account that makes it, or [`OPERATOR`](crate::records::audit::OPERATOR) or
    /// [`SYSTEM`](crate::records::audit::SYSTEM).
    pub by: &'a str,
    pub token: Secret,
}

/// Makes a link with a random token. `by` as in [`New`].
pub async fn make(conn: &mut Conn<'_>, account_id: &str, purpose: Purpose, life: Duration, by: &str) -> Result<Made> {
    add(conn, account_id, New { purpose, about: None, life, by, token: Secret::random()? }).await
}

/// Makes a link with this token, which nobody can guess.
pub async fn add(conn: &mut Conn<'_>, account_id: &str, new: New<'_>) -> Result<Made> {
    make_room(conn, account_id).await?;
    let hash = new.token.hash();
    let owner = (account_of_link::token_hash.eq(&hash), account_of_link::account_id.eq(account_id));
    run!(conn, execute(diesel::insert_into(account_of_link::table).values(owner)))?;
    let row = (
        links::account_id.eq(account_id),
        links::token_hash.eq(&hash),
        links::purpose.eq(new.purpose),
        links::about.eq(new.about),
        links::made_by.eq(new.by),
        links::made_at.eq(now()),
        links::expires_at.eq(from_now(new.life)),
    );
    let insert = diesel::insert_into(links::table).values(row).returning(links::expires_at);
    let expires_at = run!(conn, get_result(insert))?;
    Ok(Made { token: new.token, expires_at })
}

async fn make_room(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let own = links::table.filter(links::account_id.eq(account_id));
    let columns = (links::token_hash, links::used_at, links::expires_at, now());
    let mut all: Vec<(Vec<u8>, Option<Instant>, Instant, Instant)> =
        run!(conn, load(own.order((links::made_at.desc(), links::token_hash)).select(columns)))?;
    all.sort_by_key(|(_, used_at, expires_at, now)| used_at.is_some() || expires_at <= now);
    for (hash, ..) in all.iter().skip(MOST - 1) {
        delete(conn, account_id, hash).await?;
    }
    Ok(())
}

/// The link with this token. Runs the same statements whether or not there is one.
pub async fn look_up(conn: &mut Conn<'_>, token: &Secret) -> Result<Option<Link>> {
    let hash = token.hash();
    let owner = account_of_link::table.find(&hash).select(account_of_link::account_id);
    let owner: Option<String> = find!(conn, first(owner))?;
    let own = links::table.filter(links::account_id.eq(owner.unwrap_or_default())).filter(links::token_hash.eq(&hash));
    type Row = (String, Purpose, Option<String>, String, Instant, Instant, Option<Instant>, Instant);
    let columns = (
        links::account_id,
        links::purpose,
        links::about,
        links::made_by,
        links::made_at,
        links::expires_at,
        links::used_at,
        now(),
    );
    let row: Option<Row> = find!(conn, first(own.select(columns)))?;
    Ok(row.map(|(account_id, purpose, about, made_by, made_at, expires_at, used_at, now)| Link {
        account_id,
        purpose,
        about,
        made_by,
        made_at,
        expires_at,
        is_used: used_at.is_some(),
        is_good: used_at.is_none() && expires_at > now,
    }))
}

/// Uses a link up. `false` if it was used before, has expired, or is for another purpose. The transaction must have locked
/// the account's row, or the instance's for [`NOBODY`].
pub async fn spend(conn: &mut Conn<'_>, account_id: &str, token: &Secret, purpose: Purpose) -> Result<bool> {
    let good = links::table
        .filter(links::account_id.eq(account_id))
        .filter(links::token_hash.eq(token.hash()))
        .filter(links::purpose.eq(purpose))
        .filter(links::used_at.is_null())
        .filter(links::expires_at.gt(now()));
    Ok(run!(conn, execute(diesel::update(good).set(links::used_at.eq(now().nullable()))))? == 1)
}

/// Makes the account's links of one purpose stop working. Returns how many worked until now.
pub async fn end(conn: &mut Conn<'_>, account_id: &str, purpose: Purpose) -> Result<usize> {
    let good = links::table
        .filter(links::account_id.eq(account_id))
        .filter(links::purpose.eq(purpose))
        .filter(links::used_at.is_null())
        .filter(links::expires_at.gt(now()));
    run!(conn, execute(diesel::update(good).set(links::expires_at.eq(now()))))
}

/// Ends all links with which somebody else than the account's person might sign in as them or change their password: those
/// that an admin made, and those that were mailed. Called when the account's address, role or state changes.
pub async fn end_entries(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    for purpose in [Purpose::Invitation, Purpose::Password, Purpose::HandOver, Purpose::NotMe] {
        end(conn, account_id, purpose).await?;
    }
    Ok(())
}

/// How long the account's last link of one purpose still works. `None` if none works.
pub async fn remaining(conn: &mut Conn<'_>, account_id: &str, purpose: Purpose) -> Result<Option<Duration>> {
    let good = links::table
        .filter(links::account_id.eq(account_id))
        .filter(links::purpose.eq(purpose))
        .filter(links::used_at.is_null())
        .filter(links::expires_at.gt(now()))
        .order(links::expires_at.desc())
        .select((links::expires_at, now()));
    let last: Option<(Instant, Instant)> = find!(conn, first(good))?;
    Ok(last.map(|(expires_at, now)| expires_at.since(now)))
}

/// How many links of one purpose the account itself, or `by`, has had made within the time.
pub async fn made_within(
    conn: &mut Conn<'_>,
    account_id: &str,
    (purpose, by): (Purpose, &str),
    time: Duration,
) -> Result<usize> {
    let recent = links::table
        .filter(links::account_id.eq(account_id))
        .filter(links::purpose.eq(purpose))
        .filter(links::made_by.eq(by))
        .filter(links::made_at.gt(before_now(time)));
    let found: Vec<Instant> = run!(conn, load(recent.select(links::made_at)))?;
    Ok(found.len())
}

/// A link that works now, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Working {
    pub account_id: String,
    pub purpose: Purpose,
    /// What it is about, such as an address.
    pub about: Option<String>,
    pub expires_at: Instant,
}

/// The links of these accounts for these purposes that work now, the oldest first.
pub async fn working(conn: &mut Conn<'_>, accounts: &[&str], purposes: &[Purpose]) -> Result<Vec<Working>> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let good = links::table
        .filter(links::account_id.eq_any(accounts))
        .filter(links::purpose.eq_any(purposes))
        .filter(links::used_at.is_null())
        .filter(links::expires_at.gt(now()))
        .order(links::made_at);
    type Row = (String, Purpose, Option<String>, Instant);
    let rows: Vec<Row> =
        run!(conn, load(good.select((links::account_id, links::purpose, links::about, links::expires_at))))?;
    let one = |(account_id, purpose, about, expires_at)| Working { account_id, purpose, about, expires_at };
    Ok(rows.into_iter().map(one).collect())
}

/// The account's links for its export, without their hashes, the newest first.
pub async fn kept(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Value>> {
    type Row = (Purpose, Option<String>, String, Instant, Instant, Option<Instant>);
    let own = links::table.filter(links::account_id.eq(account_id)).order(links::made_at.desc());
    let columns = (links::purpose, links::about, links::made_by, links::made_at, links::expires_at, links::used_at);
    let rows: Vec<Row> = run!(conn, load(own.select(columns)))?;
    let one = |(purpose, about, made_by, made_at, expires_at, used_at): Row| {
        json!({
            "purpose": purpose, "about": about, "madeBy": made_by, "madeAt": made_at, "expiresAt": expires_at,
            "usedAt": used_at,
        })
    };
    Ok(rows.into_iter().map(one).collect())
}

/// Deletes all links of an account, when the account is deleted.
pub async fn forget(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let own = links::table.filter(links::account_id.eq(account_id)).select(links::token_hash);
    let all: Vec<Vec<u8>> = run!(conn, load(own))?;
    for hash in &all {
        delete(conn, account_id, hash).await?;
    }
    Ok(())
}

/// Deletes links that stopped working a day ago. Returns how many.
///
/// # Errors
/// When a batch fails. Earlier batches stay committed.
pub async fn sweep(db: &Db) -> Result<usize> {
    let mut deleted = 0;
    loop {
        match db.write(delete_old).await? {
            0 => return Ok(deleted),
            many => deleted += many,
        }
    }
}

async fn delete_old(conn: &mut Conn<'_>) -> Result<usize> {
    let old = links::table.filter(links::expires_at.le(before_now(KEPT))).order(links::expires_at).limit(BATCH);
    let old: Vec<(String, Vec<u8>)> = run!(conn, load(old.select((links::account_id, links::token_hash))))?;
    for (account_id, hash) in &old {
        delete(conn, account_id, hash).await?;
    }
    Ok(old.len())
}

async fn delete(conn: &mut Conn<'_>, account_id: &str, hash: &[u8]) -> Result<()> {
    let own = links::table.filter(links::account_id.eq(account_id)).filter(links::token_hash.eq(hash));
    run!(conn, execute(diesel::delete(own)))?;
    run!(conn, execute(diesel::delete(account_of_link::table.find(hash)))).map(drop)
}

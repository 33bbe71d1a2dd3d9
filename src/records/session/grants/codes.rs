//! One-time codes. A code is made on Sessile's origin for a signed-in browser, and spent on the app's host by the same
//! browser. Called by `actions::apps`, and by the sweep.
//!
//! Invariant: a code is spent at most once, within [`LIFE`], and only for the app, the session and the browser that it was
//! made for.

use std::time::Duration;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};
use subtle::ConstantTimeEq as _;

use super::key::Code;
use crate::base::{
    db::{Conn, Db, ForUpdate, before_now, find, now, run, schema::app_codes},
    error::Result,
};

/// How long a code can be spent.
pub const LIFE: Duration = Duration::from_secs(60);
/// How long the row of a code is kept, so that a browser that sends it again can go on.
const KEPT: Duration = Duration::from_secs(3600);
/// The most codes of one account. A browser may open many tabs at once.
const MOST: i64 = 200;
/// The most codes that one transaction deletes.
const BATCH: i64 = 200;

/// What a code is made for.
#[derive(Debug, Clone)]
pub struct Purpose {
    pub app_id: String,
    /// The session's lifelong name.
    pub sid: String,
    /// The hash of the browser's pending cookie.
    pub pending_hash: Vec<u8>,
    /// The path and query in the app to go on to.
    pub target: String,
}

impl Purpose {
    /// Whether the code is for the browser with this pending cookie.
    pub fn is_for(&self, pending_hash: &[u8]) -> bool {
        self.pending_hash.ct_eq(pending_hash).into()
    }
}

/// Makes a code, and deletes the account's oldest ones over the limit.
pub async fn create(conn: &mut Conn<'_>, account_id: &str, purpose: &Purpose) -> Result<Code> {
    let own = || app_codes::table.filter(app_codes::account_id.eq(account_id));
    let older: Vec<Vec<u8>> = run!(
        conn,
        load(own().order((app_codes::created_at.desc(), app_codes::secret_hash)).select(app_codes::secret_hash))
    )?;
    let kept = usize::try_from(MOST - 1).unwrap_or_default();
    let surplus: Vec<&[u8]> = older.iter().skip(kept).map(Vec::as_slice).collect();
    if !surplus.is_empty() {
        run!(conn, execute(diesel::delete(own().filter(app_codes::secret_hash.eq_any(surplus)))))?;
    }
    let code = Code::generate(account_id)?;
    let row = (
        app_codes::account_id.eq(account_id),
        app_codes::secret_hash.eq(code.secret().hash()),
        app_codes::app_id.eq(&purpose.app_id),
        app_codes::sid.eq(&purpose.sid),
        app_codes::pending_hash.eq(&purpose.pending_hash),
        app_codes::target.eq(&purpose.target),
        app_codes::created_at.eq(now()),
    );
    run!(conn, execute(diesel::insert_into(app_codes::table).values(row)))?;
    Ok(code)
}

/// What a code was made for, spent or not.
pub async fn purpose(conn: &mut Conn<'_>, code: &Code) -> Result<Option<Purpose>> {
    type Row = (String, String, Vec<u8>, String);
    let row: Option<Row> = find!(
        conn,
        first(
            app_codes::table
                .filter(app_codes::account_id.eq(code.account_id()))
                .filter(app_codes::secret_hash.eq(code.secret().hash()))
                .select((app_codes::app_id, app_codes::sid, app_codes::pending_hash, app_codes::target))
        )
    )?;
    Ok(row.map(|(app_id, sid, pending_hash, target)| Purpose { app_id, sid, pending_hash, target }))
}

/// Spends a code. `false` if it was spent before or is too old.
pub async fn spend(conn: &mut Conn<'_>, code: &Code) -> Result<bool> {
    let fresh = app_codes::table
        .filter(app_codes::account_id.eq(code.account_id()))
        .filter(app_codes::secret_hash.eq(code.secret().hash()))
        .filter(app_codes::spent_at.is_null())
        .filter(app_codes::created_at.gt(before_now(LIFE)));
    Ok(run!(conn, execute(diesel::update(fresh).set(app_codes::spent_at.eq(now().nullable()))))? == 1)
}

/// Deletes old codes. Returns how many.
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
    let oldest = app_codes::table
        .filter(app_codes::created_at.le(before_now(KEPT)))
        .order((app_codes::created_at, app_codes::account_id, app_codes::secret_hash))
        .limit(BATCH)
        .select((app_codes::account_id, app_codes::secret_hash));
    let old: Vec<(String, Vec<u8>)> = ForUpdate::load_across(conn, oldest).await?;
    if old.is_empty() {
        return Ok(0);
    }
    // Hashes are unique, so the two lists fit only the rows that were read.
    let (accounts, hashes): (Vec<String>, Vec<Vec<u8>>) = old.into_iter().unzip();
    let read =
        app_codes::table.filter(app_codes::account_id.eq_any(accounts)).filter(app_codes::secret_hash.eq_any(hashes));
    run!(conn, execute(diesel::delete(read)))
}

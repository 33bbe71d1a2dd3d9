//! The recovery codes of an account. Each works once. Called by `actions::second_factor`.
//!
//! Invariant: only the hash of a code is kept, sealed. A code is used by an update that requires it to be unused, so it
//! works once, on any node.

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, dsl::count_star};

use crate::{
    base::{
        db::{Conn, Instant, find, now, run, schema::recovery_codes as codes},
        error::Result,
        keys::Sealed,
    },
    records::account::factors,
};

/// A code of an account.
#[derive(Debug, Clone)]
pub struct StoredCode {
    pub number: i64,
    /// The hash of the code.
    pub hash: Sealed,
    pub is_used: bool,
}

/// Replaces the account's codes with these. The caller has locked the account's row.
pub async fn replace(conn: &mut Conn<'_>, account_id: &str, hashes: &[Sealed]) -> Result<()> {
    delete(conn, account_id).await?;
    let rows: Vec<_> = (1_i64..)
        .zip(hashes)
        .map(|(number, hash)| {
            (
                codes::account_id.eq(account_id),
                codes::number.eq(number),
                codes::code.eq(&hash.bytes),
                codes::key_id.eq(&hash.key_id),
                codes::made_at.eq(now()),
            )
        })
        .collect();
    run!(conn, execute(diesel::insert_into(codes::table).values(rows)))?;
    factors::changed(conn, account_id, 0).await
}

/// All codes of the account, used or not.
pub async fn all(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<StoredCode>> {
    let own = codes::table.filter(codes::account_id.eq(account_id)).order(codes::number);
    let columns = (codes::number, codes::code, codes::key_id, codes::used_at);
    let rows: Vec<(i64, Vec<u8>, String, Option<Instant>)> = run!(conn, load(own.select(columns)))?;
    let code = |(number, bytes, key_id, used_at): (_, _, _, Option<Instant>)| StoredCode {
        number,
        hash: Sealed { key_id, bytes },
        is_used: used_at.is_some(),
    };
    Ok(rows.into_iter().map(code).collect())
}

/// When the account's codes were made, each with the time of its use. In the order of their numbers.
pub async fn uses(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<(Instant, Option<Instant>)>> {
    let own = codes::table.filter(codes::account_id.eq(account_id)).order(codes::number);
    run!(conn, load(own.select((codes::made_at, codes::used_at))))
}

/// How many codes were not used yet.
pub async fn left(conn: &mut Conn<'_>, account_id: &str) -> Result<i64> {
    let own = codes::table.filter(codes::account_id.eq(account_id)).filter(codes::used_at.is_null());
    run!(conn, get_result(own.select(count_star())))
}

/// Uses a code. `false` if it was used before.
pub async fn spend(conn: &mut Conn<'_>, account_id: &str, number: i64) -> Result<bool> {
    let own = codes::table.filter(codes::account_id.eq(account_id)).filter(codes::number.eq(number));
    let unused = own.filter(codes::used_at.is_null());
    Ok(run!(conn, execute(diesel::update(unused).set(codes::used_at.eq(now().nullable()))))? == 1)
}

/// When the latest code was used of whose use the person has not seen the notice.
pub async fn unseen_use(conn: &mut Conn<'_>, account_id: &str) -> Result<Option<Instant>> {
    let own = codes::table.filter(codes::account_id.eq(account_id)).filter(codes::seen_at.is_null());
    let used = own.filter(codes::used_at.is_not_null()).order(codes::used_at.desc());
    let at: Option<Option<Instant>> = find!(conn, first(used.select(codes::used_at)))?;
    Ok(at.flatten())
}

/// Records that the person has seen the notices about used codes.
pub async fn note_seen(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let own = codes::table.filter(codes::account_id.eq(account_id)).filter(codes::seen_at.is_null());
    let used = own.filter(codes::used_at.is_not_null());
    run!(conn, execute(diesel::update(used).set(codes::seen_at.eq(now().nullable())))).map(drop)
}

/// Deletes the account's codes. Returns how many there were.
pub async fn delete(conn: &mut Conn<'_>, account_id: &str) -> Result<usize> {
    run!(conn, execute(diesel::delete(codes::table.filter(codes::account_id.eq(account_id)))))
}

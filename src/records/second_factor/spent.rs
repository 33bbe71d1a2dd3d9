//! Proofs that work once and that only the browser keeps: challenges of passkeys, and first steps of sign-ins. Their hashes
//! are recorded when they are used. Called by `actions::second_factor` and `actions::passkeys`; the sweep deletes old ones.
//!
//! Invariant: only a proof that signs somebody in or confirms something leaves a row, so strangers leave none.

use std::time::Duration;

use diesel::{ExpressionMethods as _, QueryDsl as _};
use sha2::{Digest as _, Sha256};

use crate::base::{
    db::{Conn, Db, before_now, find, now, run, schema::spent_proofs},
    error::Result,
};

/// Longer than any of these proofs is valid.
const KEPT: Duration = Duration::from_secs(3600);

/// Records that the account used this proof. `false` if it had used it before.
pub async fn spend(conn: &mut Conn<'_>, account_id: &str, proof: &[u8]) -> Result<bool> {
    let hash = Sha256::digest(proof).to_vec();
    let row = (spent_proofs::account_id.eq(account_id), spent_proofs::hash.eq(hash), spent_proofs::spent_at.eq(now()));
    let insert = diesel::insert_into(spent_proofs::table).values(row).on_conflict_do_nothing();
    Ok(run!(conn, execute(insert))? == 1)
}

/// Whether the account has used this proof.
pub async fn is_spent(conn: &mut Conn<'_>, account_id: &str, proof: &[u8]) -> Result<bool> {
    let hash = Sha256::digest(proof).to_vec();
    let own = spent_proofs::table.filter(spent_proofs::account_id.eq(account_id)).filter(spent_proofs::hash.eq(hash));
    let found: Option<String> = find!(conn, first(own.select(spent_proofs::account_id)))?;
    Ok(found.is_some())
}

/// Deletes the account's records, when the account is deleted.
pub(super) async fn delete(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    run!(conn, execute(diesel::delete(spent_proofs::table.filter(spent_proofs::account_id.eq(account_id))))).map(drop)
}

/// Deletes the records of proofs that are not valid any more.
pub async fn sweep(db: &Db) -> Result<()> {
    let old = async |conn: &mut Conn<'_>| {
        run!(conn, execute(diesel::delete(spent_proofs::table.filter(spent_proofs::spent_at.le(before_now(KEPT))))))
    };
    db.statement(old).await.map(drop)
}

//! The authenticator app of an account: its sealed secret, and the step of the last code that was accepted. Called by
//! `actions::second_factor`.
//!
//! Invariant: a code's step is accepted by an update that requires a later step than the last one, so no code works twice,
//! on any node.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use crate::{
    base::{
        db::{Conn, Instant, find, now, run, schema::totp_apps},
        error::Result,
        keys::Sealed,
    },
    records::account::factors,
};

/// The app's secret and the last accepted step.
#[derive(Debug, Clone)]
pub struct StoredApp {
    pub secret: Sealed,
    pub last_step: i64,
    /// The database's time.
    pub now: Instant,
}

pub async fn exists(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    Ok(added_at(conn, account_id).await?.is_some())
}

/// When the account's app was added. `None` if it has none.
pub async fn added_at(conn: &mut Conn<'_>, account_id: &str) -> Result<Option<Instant>> {
    let own = totp_apps::table.filter(totp_apps::account_id.eq(account_id));
    find!(conn, first(own.select(totp_apps::created_at)))
}

/// The account's app, if it has one.
pub async fn find(conn: &mut Conn<'_>, account_id: &str) -> Result<Option<StoredApp>> {
    let own = totp_apps::table.filter(totp_apps::account_id.eq(account_id));
    let columns = (totp_apps::secret, totp_apps::key_id, totp_apps::last_step, now());
    let found: Option<(Vec<u8>, String, i64, Instant)> = find!(conn, first(own.select(columns)))?;
    Ok(found.map(|(bytes, key_id, last_step, now)| StoredApp { secret: Sealed { key_id, bytes }, last_step, now }))
}

/// Adds the app, whose first code, of the step `last_step`, was right. `false` if the account has one already. The caller
/// has locked the account's row.
pub async fn add(conn: &mut Conn<'_>, account_id: &str, secret: &Sealed, last_step: i64) -> Result<bool> {
    let row = (
        totp_apps::account_id.eq(account_id),
        totp_apps::secret.eq(&secret.bytes),
        totp_apps::key_id.eq(&secret.key_id),
        totp_apps::last_step.eq(last_step),
        totp_apps::created_at.eq(now()),
    );
    let insert = diesel::insert_into(totp_apps::table).values(row).on_conflict_do_nothing();
    if run!(conn, execute(insert))? == 0 {
        return Ok(false);
    }
    factors::changed(conn, account_id, 1).await?;
    Ok(true)
}

/// Accepts the code of `step`. `false` if that step or a later one was accepted before.
pub async fn accept(conn: &mut Conn<'_>, account_id: &str, step: i64) -> Result<bool> {
    let earlier = totp_apps::table.filter(totp_apps::account_id.eq(account_id)).filter(totp_apps::last_step.lt(step));
    Ok(run!(conn, execute(diesel::update(earlier).set(totp_apps::last_step.eq(step))))? == 1)
}

/// Removes the app, and records the change. `false` if there was none. The caller has locked the account's row.
pub async fn remove(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    if delete(conn, account_id).await? == 0 {
        return Ok(false);
    }
    factors::changed(conn, account_id, -1).await?;
    Ok(true)
}

pub(super) async fn delete(conn: &mut Conn<'_>, account_id: &str) -> Result<usize> {
    run!(conn, execute(diesel::delete(totp_apps::table.filter(totp_apps::account_id.eq(account_id)))))
}

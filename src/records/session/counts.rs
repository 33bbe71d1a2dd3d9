//! Whether, and how many, sessions of all accounts are live. Called by the metrics, and by the checks of the key file.
//!
//! Invariant: no statement reads outdated sessions. Right after all sessions were ended at once there can be millions.

use diesel::QueryDsl as _;

use super::{generation, live::is_live_in};
use crate::base::{
    db::{Conn, find, run, schema::sessions},
    error::Result,
};

/// How many sessions are live.
pub async fn count_live(conn: &mut Conn<'_>) -> Result<i64> {
    let current = generation::current(conn).await?;
    run!(conn, get_result(sessions::table.filter(is_live_in(current)).count()))
}

/// Whether any session is live.
pub async fn any_live(conn: &mut Conn<'_>) -> Result<bool> {
    let current = generation::current(conn).await?;
    let one: Option<String> = find!(conn, first(sessions::table.filter(is_live_in(current)).select(sessions::id)))?;
    Ok(one.is_some())
}

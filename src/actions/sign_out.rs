//! The holder of a session key signs out. The key may be one from before a rotation. Called by the sign-out page, the
//! API and the sync.
//!
//! Locks, in this order: the account's row, the session.
//!
//! Invariant: a session that is reported as ended has ended, even if its key was rotated meanwhile.

use crate::{
    base::{db::Conn, error::Result},
    records::session::{SessionKey, Sessions, log_out::log_out},
};

/// Ends the session of each key. Returns whether any of them was live.
pub async fn sign_out(sessions: &Sessions, keys: Vec<SessionKey>, ip: Option<&str>) -> Result<bool> {
    let mut ended = false;
    for key in keys {
        ended |= sessions.log_out(&key, ip.map(str::to_owned)).await?;
    }
    Ok(ended)
}

/// Ends the session of each key whose session has one of these ids, now or before a rotation. Returns whether any of
/// them was live.
pub async fn sign_out_named(
    sessions: &Sessions,
    keys: Vec<SessionKey>,
    ids: &[String],
    ip: Option<&str>,
) -> Result<bool> {
    let mut ended = false;
    for key in keys {
        let (ids, ip) = (ids.to_vec(), ip.map(str::to_owned));
        let one = async move |conn: &mut Conn<'_>| log_out(conn, &key, Some(&ids), ip.as_deref()).await;
        ended |= sessions.db.write(one).await?;
    }
    Ok(ended)
}

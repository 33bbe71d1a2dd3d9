//! Former keys: the keys that a session had before its rotations. A former key can end the session. Until the browser
//! has used the current key, the previous key can also fetch the current key again. Called by
//! [`statements`](super::statements), the [`store`](super::store) and everything that ends sessions.
//!
//! Invariant: a former key never opens a session whose current key has been used.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{key::SessionKey, key_maker::KeyMaker, key_owner, live::is_live, record::SessionRef};
use crate::{
    base::{
        db::{
            Conn, Db, find, now, run,
            schema::{former_keys, sessions},
        },
        error::Result,
    },
    records::account,
};

/// Maximum number of former keys per session. A session that has this many gets no further key. Former keys are kept as
/// long as their session lives, so that each of them can end it. Every rotation requires the password, so few sessions
/// reach the limit.
const MOST: i64 = 1000;

/// The row of a former key.
pub(super) struct Former {
    secret_hash: Vec<u8>,
    pub(super) session_id: String,
}

/// The session that a current or former key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSession {
    pub account_id: String,
    /// The session's current id.
    pub session_id: String,
    /// Whether the key is the session's current key.
    pub is_current: bool,
}

/// Moves the former keys of a session to the session's new id. On one server the foreign key has done that already, but
/// distributed tables cannot have one that does.
pub(super) async fn follow(conn: &mut Conn<'_>, account_id: &str, old: &SessionKey, session_id: &str) -> Result<()> {
    let own = former_keys::table.filter(former_keys::account_id.eq(account_id));
    let behind = own.filter(former_keys::session_id.eq(old.id()));
    run!(conn, execute(diesel::update(behind).set(former_keys::session_id.eq(session_id)))).map(drop)
}

/// Stores the key that a session had until now.
pub(super) async fn remember(conn: &mut Conn<'_>, account_id: &str, old: &SessionKey, session_id: &str) -> Result<()> {
    let row = (
        former_keys::account_id.eq(account_id),
        former_keys::id.eq(old.id()),
        former_keys::secret_hash.eq(old.secret().hash()),
        former_keys::session_id.eq(session_id),
        former_keys::replaced_at.eq(now()),
    );
    run!(conn, execute(diesel::insert_into(former_keys::table).values(row))).map(drop)
}

/// Whether a session of the account has reached the limit of former keys.
pub async fn is_full(conn: &mut Conn<'_>, account_id: &str, session_id: &str) -> Result<bool> {
    let of_session = former_keys::table.filter(former_keys::session_id.eq(session_id));
    let own = of_session.filter(former_keys::account_id.eq(account_id));
    let last: Option<String> = find!(conn, first(own.offset(MOST - 1).select(former_keys::id)))?;
    Ok(last.is_some())
}

/// Looks up a former key. `None` if the key is not a former key or its secret is wrong.
pub(super) async fn look_up(conn: &mut Conn<'_>, account_id: &str, key: &SessionKey) -> Result<Option<Former>> {
    let own = former_keys::table.filter(former_keys::account_id.eq(account_id)).filter(former_keys::id.eq(key.id()));
    let found: Option<(Vec<u8>, String)> =
        find!(conn, first(own.select((former_keys::secret_hash, former_keys::session_id))))?;
    let former = found.map(|(secret_hash, session_id)| Former { secret_hash, session_id });
    Ok(former.filter(|former| key.secret().matches(&former.secret_hash)))
}

/// Like [`look_up`], but in its own read.
pub(super) async fn read(db: &Db, account_id: &str, key: &SessionKey) -> Result<Option<Former>> {
    let (account_id, key) = (account_id.to_owned(), key.clone());
    db.read(async move |conn: &mut Conn<'_>| look_up(conn, &account_id, &key).await).await
}

/// The live session that a current or former key belongs to.
pub async fn holder(conn: &mut Conn<'_>, key: &SessionKey) -> Result<Option<HeldSession>> {
    let account_id = key_owner::account_of(conn, key).await?;
    let living = |id: &str| {
        let own = sessions::table.filter(sessions::account_id.eq(account_id.clone()));
        own.filter(sessions::id.eq(id.to_owned())).filter(is_live()).select(sessions::id)
    };
    let current = living(key.id()).filter(sessions::secret_hash.eq(key.secret().hash()));
    let current: Option<String> = find!(conn, first(current))?;
    if let Some(session_id) = current {
        return Ok(Some(HeldSession { account_id, session_id, is_current: true }));
    }
    let Some(Former { session_id, .. }) = look_up(conn, &account_id, key).await? else {
        return Ok(None);
    };
    let live: Option<String> = find!(conn, first(living(&session_id)))?;
    Ok(live.map(|session_id| HeldSession { account_id, session_id, is_current: false }))
}

/// Like [`holder`], but locks the account's row, so that the session is not rotated before the caller uses the result.
pub async fn lock_holder(conn: &mut Conn<'_>, key: &SessionKey) -> Result<Option<HeldSession>> {
    let Some(seen) = holder(conn, key).await? else {
        return Ok(None);
    };
    account::lock(conn, &seen.account_id).await?;
    holder(conn, key).await
}

/// The key that followed `old`, as long as it is unused. The response that carried it may have been lost.
pub async fn successor(conn: &mut Conn<'_>, old: &SessionKey, keys: &KeyMaker) -> Result<Option<SessionKey>> {
    let account_id = key_owner::account_of(conn, old).await?;
    let Some(Former { session_id, .. }) = look_up(conn, &account_id, old).await? else {
        return Ok(None);
    };
    let found: Option<(Vec<u8>, Option<String>)> = find!(
        conn,
        first(
            sessions::table
                .filter(sessions::account_id.eq(&account_id))
                .filter(sessions::id.eq(&session_id))
                .filter(sessions::previous_id.eq(old.id()))
                .filter(sessions::key_used_at.is_null())
                .filter(is_live())
                .select((sessions::secret_hash, sessions::key_nonce))
        )
    )?;
    let secret = found.and_then(|(hash, nonce)| keys.successor_again(old, &nonce?, &hash));
    Ok(secret.map(|secret| SessionKey::from_parts(&account_id, session_id, secret)))
}

/// The current id of the account's session that has or once had this id. Returns an unknown id unchanged.
pub async fn present_id(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<String> {
    let mut found = present_ids(conn, account_id, &BTreeSet::from([id])).await?;
    Ok(found.remove(id).unwrap_or_else(|| id.to_owned()))
}

/// Finds a session of any account by its current id or a former id. Only for operators.
pub async fn find_of_any(conn: &mut Conn<'_>, id: &str) -> Result<Option<SessionRef>> {
    let present = sessions::table.filter(sessions::id.eq(id)).select((sessions::account_id, sessions::id));
    let present: Option<SessionRef> = find!(conn, first(present))?;
    if present.is_some() {
        return Ok(present);
    }
    let former = former_keys::table.filter(former_keys::id.eq(id));
    find!(conn, first(former.select((former_keys::account_id, former_keys::session_id))))
}

/// Maps former ids of the account's sessions to the current ids. All other ids are left out.
pub async fn present_ids(
    conn: &mut Conn<'_>,
    account_id: &str,
    ids: &BTreeSet<&str>,
) -> Result<BTreeMap<String, String>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    let rows: Vec<(String, String)> = run!(
        conn,
        load(
            former_keys::table
                .filter(former_keys::account_id.eq(account_id))
                .filter(former_keys::id.eq_any(ids))
                .select((former_keys::id, former_keys::session_id))
        )
    )?;
    Ok(rows.into_iter().collect())
}

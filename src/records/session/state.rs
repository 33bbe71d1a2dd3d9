//! The state of an actix session, and the names that are reserved in it. Used by the [`store`](super::store),
//! [`lookup`](super::lookup) and [`current`](super::current).
//!
//! Invariant: reserved entries are never stored, and a reserved entry found in a row never reaches a handler.

use std::collections::HashMap;

use actix_session::storage::SessionKey as CookieValue;
use serde_json::Value;

use super::key::SessionKey;
use crate::base::error::{Error, Result};

/// The state as actix-session passes it: JSON texts by name.
pub type State = HashMap<String, String>;

/// actix-identity reads the account's id under this name. The store fills it in from the typed column.
pub(super) const IDENTITY: &str = "actix_identity.user_id";
/// The key of a committed login or rotation. The action commits; the handler then puts the key here, and the store's
/// `save` or `update` returns it for the cookie, without I/O.
pub(super) const FINISHED: &str = "sessile.finished";
/// Makes actix-session set the cookie again, after a touch or when the cookie still has its old name.
pub(super) const TOUCHED: &str = "sessile.touched";

/// Removes the key of a committed login from the state. `None` if no login was committed.
pub(super) fn take_finished_key(state: &mut State) -> Result<Option<CookieValue>> {
    let Some(text) = state.remove(FINISHED) else {
        return Ok(None);
    };
    let key: String = serde_json::from_str(&text).map_err(Error::bug)?;
    let key = SessionKey::parse(&key).ok_or_else(|| Error::bug("the key of the finished login is malformed"))?;
    key.cookie_value().map(Some)
}

/// Removes the entries that are never stored.
pub(super) fn strip_reserved(state: &mut State) {
    for name in [IDENTITY, FINISHED, TOUCHED] {
        state.remove(name);
    }
}

/// The stored state of a row, without reserved entries. Public for `benches/`.
#[doc(hidden)]
pub fn from_row(stored: Value) -> State {
    let Value::Object(entries) = stored else {
        return State::new();
    };
    let texts = entries.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    });
    let mut state: State = texts.collect();
    strip_reserved(&mut state);
    state
}

//! The state of an actix session, and the names that are reserved in it.
//!
//! Invariant: reserved entries never reach the database, and none from there reaches a handler.

use std::collections::HashMap;

use actix_session::storage::SessionKey as CookieValue;
use serde_json::Value;

use super::key::SessionKey;
use crate::base::error::{Error, Result};

/// The state as actix-session passes it: JSON texts by name.
pub type State = HashMap<String, String>;

/// Under this name actix-identity looks for who it is. The store puts it there from the typed column.
pub(super) const IDENTITY: &str = "actix_identity.user_id";
/// The key of a login that the handler has committed, on its way to the cookie.
pub(super) const FINISHED: &str = "sessile.finished";
/// Makes actix-session set the cookie again: the session was touched, or its cookie came under the old name.
pub(super) const TOUCHED: &str = "sessile.touched";

/// Takes the key of a committed login out of the state; `None` if there was no login.
pub(super) fn take_finished_key(state: &mut State) -> Result<Option<CookieValue>> {
    let Some(text) = state.remove(FINISHED) else {
        return Ok(None);
    };
    let key: String = serde_json::from_str(&text).map_err(Error::bug)?;
    let key = SessionKey::parse(&key).ok_or_else(|| Error::bug("a finished key that is none"))?;
    key.cookie_value().map(Some)
}

/// Takes out what is never stored.
pub(super) fn strip_reserved(state: &mut State) {
    for name in [IDENTITY, FINISHED, TOUCHED] {
        state.remove(name);
    }
}

/// The state that a row holds, without what is not its own to say.
pub(super) fn from_row(stored: Value) -> State {
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

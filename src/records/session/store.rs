//! The actix-session [`SessionStore`] on the sessions table. Called by the session middleware.
//!
//! The action commits a login, logout or rotation together with its audit events. After a login or rotation, the
//! handler puts the new key into a reserved entry of the state. [`SessionStore::save`] or [`SessionStore::update`]
//! returns it, without I/O.
//!
//! Invariant: `load` returns `None` for a missing, expired, ended or tampered session, never an error. `update` of an
//! ended session is an error and inserts nothing. A client can never choose the id of a session.

use std::rc::Rc;

use actix_session::storage::{LoadError, SaveError, SessionKey as CookieValue, SessionStore, UpdateError};
use actix_web::cookie::time::Duration as CookieDuration;
use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};
use serde_json::Value;

use super::{
    key::SessionKey,
    key_owner,
    live::is_live,
    lookup::Found,
    record::SessionRef,
    request::{self, PresentedSession},
    service::Sessions,
    state::{IDENTITY, State, strip_reserved, take_finished_key},
};
use crate::{
    base::{
        db::{
            Conn, TouchRow, find, merged, now, run,
            schema::{devices, sessions},
        },
        error::{EndedBecause, Error, Result},
    },
    records::{
        audit::{self, Event},
        news,
    },
};

impl Sessions {
    /// Records the first use of a key, or of a session after its end. A failure to record it does not fail the request.
    async fn note(&self, found: Found, ip: Option<String>) -> PresentedSession {
        match found {
            Found::Unknown | Found::Overdue { .. } => PresentedSession::None,
            Found::Former => PresentedSession::Former,
            Found::Ended { details, session, first_use } => {
                if first_use && let Err(error) = self.note_use_after_end(session.clone(), ip).await {
                    tracing::warn!(%error, session = session.id, "failed to record use of an ended session");
                }
                PresentedSession::Ended(details)
            }
            Found::Live(loaded) => {
                if loaded.first_use {
                    self.note_first_use(&loaded).await;
                }
                PresentedSession::Live(Rc::from(loaded))
            }
        }
    }

    /// Records that a browser has presented the key of an ended session. Writes at most one event per session.
    async fn note_use_after_end(&self, session: SessionRef, ip: Option<String>) -> Result<()> {
        self.db
            .write(async move |conn: &mut Conn<'_>| {
                let SessionRef { account_id, id } = &session;
                let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::id.eq(id));
                let noted: Option<Option<String>> = find!(
                    conn,
                    get_result(
                        diesel::update(own.filter(sessions::used_after_end_at.is_null()))
                            .set(sessions::used_after_end_at.eq(now().nullable()))
                            .returning(sessions::device_id)
                    )
                )?;
                let Some(device) = noted else {
                    return Ok(());
                };
                let name = match &device {
                    Some(device) => {
                        find!(conn, first(devices::table.find((account_id, device)).select(devices::name)))?
                    }
                    None => None::<String>,
                };
                // The device may have been deleted.
                let device = device.filter(|_| name.is_some());
                let event = Event::of(audit::Kind::SessionUsedAfterEnd, account_id)
                    .by("visitor")
                    .session(id)
                    .device(device.as_deref(), name.as_deref())
                    .ip(ip.as_deref());
                audit::record(conn, &[event]).await
            })
            .await
    }

    /// Merges the entries that a request changed into the stored state. Returns `false` if the session has ended.
    async fn merge_state(&self, key: &SessionKey, patch: Value) -> Result<bool> {
        let key = key.clone();
        let rows = self
            .db
            .write(async move |conn: &mut Conn<'_>| {
                let account_id = key_owner::account_of(conn, &key).await?;
                let own =
                    sessions::table.filter(sessions::account_id.eq(&account_id)).filter(sessions::id.eq(key.id()));
                let opened = own.filter(sessions::secret_hash.eq(key.secret().hash())).filter(is_live());
                let changed =
                    (sessions::state.eq(merged(sessions::state, patch)), sessions::version.eq(sessions::version + 1));
                let rows = run!(conn, execute(diesel::update(opened).set(changed)))?;
                if rows > 0 {
                    news::looked_up_changed(conn, std::iter::once(account_id.as_str())).await?;
                }
                Ok(rows)
            })
            .await?;
        Ok(rows == 1)
    }
}

impl SessionStore for Sessions {
    /// Returns `None` if the session is not live. Stores the result of the lookup in the request's facts.
    async fn load(&self, key: &CookieValue) -> Result<Option<State>, LoadError> {
        let Some(key) = SessionKey::parse(key.as_ref()) else {
            return Ok(None);
        };
        let facts = request::current();
        // Load only the key that was verified and recorded as presented, so that store and facts never disagree.
        if facts.as_ref().is_some_and(|facts| !facts.presents(&key)) {
            return Ok(None);
        }
        let found = self.find(&key).await.map_err(|error| LoadError::Other(fault(error)))?;
        let ip = facts.as_ref().and_then(|facts| facts.ip.clone());
        let presented = self.note(found, ip).await;
        let state = match &presented {
            PresentedSession::Live(loaded) => {
                let mut state = loaded.state.clone();
                let identity = Value::String(loaded.account.id.clone());
                state.insert(IDENTITY.to_owned(), identity.to_string());
                Some(state)
            }
            _ => None,
        };
        if let Some(facts) = facts {
            facts.session.replace(presented);
        }
        Ok(state)
    }

    /// Returns the key of the login that the action has committed, without I/O. Fails without a login: visitors get no
    /// rows.
    async fn save(&self, mut state: State, _: &CookieDuration) -> Result<CookieValue, SaveError> {
        take_finished_key(&mut state)
            .and_then(|key| key.ok_or_else(|| Error::bug("state was set without a session")))
            .map_err(|error| SaveError::Other(fault(error)))
    }

    /// Returns the key of the login or rotation that the action has committed, without I/O. Otherwise merges the
    /// entries that this request changed, and returns the session's current key. If the session has ended meanwhile,
    /// fails and inserts nothing.
    async fn update(&self, key: CookieValue, mut state: State, _: &CookieDuration) -> Result<CookieValue, UpdateError> {
        let merged = async {
            if let Some(finished) = take_finished_key(&mut state)? {
                return Ok(finished);
            }
            let live = request::current().and_then(|facts| facts.live());
            let own = match &live {
                Some(live) => live.key.clone(),
                None => SessionKey::parse(key.as_ref()).ok_or(Error::SessionEnded(EndedBecause::Unknown))?,
            };
            let patch = changes(state);
            if patch.is_empty() || self.merge_state(&own, Value::Object(patch)).await? {
                return own.cookie_value();
            }
            Err(Error::SessionEnded(self.why_ended(&own).await?))
        };
        merged.await.map_err(|error| UpdateError::Other(fault(error)))
    }

    /// Writes a touch at once. The middleware is configured not to call this: `CurrentUser` queues the touches.
    async fn update_ttl(&self, key: &CookieValue, _: &CookieDuration) -> Result<(), anyhow::Error> {
        let Some(key) = SessionKey::parse(key.as_ref()) else {
            return Ok(());
        };
        if let Found::Live(loaded) = self.find(&key).await.map_err(fault)? {
            let row = TouchRow {
                account_id: loaded.record.account_id,
                id: loaded.record.id,
                at: loaded.now,
                expires_at: loaded.now.plus(self.times.idle).min(loaded.record.absolute_expires_at),
                ip: loaded.record.ip,
            };
            self.touch_now(row).await.map_err(fault)?;
        }
        Ok(())
    }

    /// Ends the session as logged out, unless the handler has already ended it.
    async fn delete(&self, key: &CookieValue) -> Result<(), anyhow::Error> {
        if request::current().is_some_and(|facts| facts.ended_by_handler.get()) {
            return Ok(());
        }
        let Some(key) = SessionKey::parse(key.as_ref()) else {
            return Ok(());
        };
        self.log_out(&key, None).await.map(drop).map_err(fault)
    }
}

/// The entries that the request changed since the load: new texts, and null for removed entries.
fn changes(mut state: State) -> serde_json::Map<String, Value> {
    strip_reserved(&mut state);
    let before = request::current().and_then(|facts| facts.live());
    let mut patch = serde_json::Map::new();
    if let Some(before) = before {
        let removed = before.state.keys().filter(|name| !state.contains_key(*name));
        patch.extend(removed.map(|name| (name.clone(), Value::Null)));
        state.retain(|name, value| before.state.get(name) != Some(value));
    }
    patch.extend(state.into_iter().map(|(name, value)| (name, Value::String(value))));
    patch
}

/// Stores the error for the outer layer, because actix-session turns it into an opaque 500.
fn fault(error: Error) -> anyhow::Error {
    let message = anyhow::anyhow!("{error}");
    if let Some(facts) = request::current() {
        facts.fault.replace(Some(error));
    }
    message
}

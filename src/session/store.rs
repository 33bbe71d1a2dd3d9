//! The actix-session [`SessionStore`], on the sessions table.
//!
//! What a login, a logout or a rotation changes is committed by the handler, with its audit row, through [`statements`];
//! the key to be set then reaches [`SessionStore::update`] in a reserved entry, and no I/O is left to do.
//!
//! What the trait's methods promise: a missing, expired, ended or tampered session is `None`, never an error; an
//! update of one that has ended is an error and inserts nothing; a session never comes from an id that a client chose.

use std::collections::HashMap;
use std::rc::Rc;

use actix_session::storage::{LoadError, SaveError, SessionKey as CookieValue, SessionStore, UpdateError};
use actix_web::cookie::time::Duration as CookieDuration;
use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};
use serde_json::Value;

use super::{
    EndReason, Lifetimes, Record, SessionKey,
    current::{self, IDENTITY},
    ends,
    request::{self, Ended, Loaded, Standing},
    statements, stored, sweep,
    touch::{self, TouchQueue},
};
use crate::{
    audit::{self, Event},
    clock::Clock,
    db::{
        Conn, Db, Instant, TouchRow, find, merged, now, run,
        schema::{devices, sessions},
    },
    error::{Away, EndedBecause, Error, Result},
};

/// The state as actix-session passes it: JSON texts by name.
pub type State = HashMap<String, String>;

/// The sessions of this instance. Cheap to clone; all clones share the pool and the queue of touches.
#[derive(Clone)]
pub struct Sessions {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// How long sessions last.
    pub times: Lifetimes,
    /// The activity that is not written yet.
    pub touches: TouchQueue,
}

/// What was found under a key.
#[derive(Debug)]
pub enum Found {
    /// It lives.
    Live(Box<Loaded>),
    /// It has ended; its browser may be told.
    Ended {
        /// What may be told.
        told: Ended,
        /// Whether this was noticed for the first time.
        first_use: bool,
    },
    /// Its time has run out, and its row does not say so yet. [`Sessions::find`] never returns it: what is told to have
    /// expired has ended in its row first, so that no clock that is put back revives it.
    Expired(Instant),
    /// There is no such session, or the secret is not its own.
    Unknown,
}

impl Sessions {
    /// What is under a key: the one read of a request. A cache has its place here, between this and `read`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn find(&self, key: &SessionKey) -> Result<Found> {
        let found = match self.look_up(key).await {
            Ok(Found::Expired(at)) => self.expire(key, at).await,
            found => found,
        };
        self.db.metrics().session_load(match &found {
            Ok(Found::Live(_)) => "live",
            Ok(Found::Ended { .. } | Found::Expired(_)) => "ended",
            Ok(Found::Unknown) => "unknown",
            Err(_) => "failed",
        });
        found
    }

    pub(super) async fn look_up(&self, key: &SessionKey) -> Result<Found> {
        let Some(row) = stored::read(&self.db, key.id()).await? else {
            return Ok(Found::Unknown);
        };
        self.clock.compare(row.now);
        if !key.secret().matches(&row.secret_hash) {
            return Ok(Found::Unknown);
        }
        if let Some(facts) = request::current() {
            facts.kept_zone.replace(row.account.time_zone.clone());
        }
        if let (Some(at), Some(reason)) = (row.ended_at, row.ended_reason) {
            return Ok(Found::Ended {
                told: Ended::by(reason, row.ended_by.as_deref(), at),
                first_use: row.used_after_end_at.is_none(),
            });
        }
        let mut record = row.record;
        self.touches.overlay(&mut record);
        if record.expires_at <= row.now {
            return Ok(Found::Expired(record.expires_at));
        }
        let times = [record.created_at, record.authenticated_at, record.last_activity, row.password_changed_at];
        if times.iter().any(|time| time.age(row.now).is_none()) {
            self.clock.meet_future();
        }
        Ok(Found::Live(Box::new(Loaded {
            record,
            account: row.account,
            device_name: row.device_name,
            state: stored::state_from(row.state),
            password_changed_at: row.password_changed_at,
            now: row.now,
        })))
    }

    /// Ends a session in its row before anybody is told that it has expired. Whoever holds its key is told by that, so a
    /// later use of the key is no news for the activity.
    async fn expire(&self, key: &SessionKey, at: Instant) -> Result<Found> {
        let id = key.id().to_owned();
        let expired = self
            .db
            .write(async move |conn: &mut Conn<'_>| {
                let expired = sweep::expire(conn, std::slice::from_ref(&id)).await?;
                let row = sessions::table.find(&id);
                if expired > 0 {
                    let used = sessions::used_after_end_at.eq(now().nullable());
                    run!(conn, execute(diesel::update(row).set(used)))?;
                }
                Ok(expired)
            })
            .await?;
        if expired > 0 {
            return Ok(Found::Ended { told: Ended::expired(at), first_use: false });
        }
        // Another request has ended or touched it meanwhile.
        match self.look_up(key).await? {
            Found::Expired(_) => Err(Error::unavailable(Away::Database, "a session that has expired cannot be ended")),
            found => Ok(found),
        }
    }

    /// Writes a touch before its answer; whether the session still lived.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn touch_now(&self, row: TouchRow) -> Result<bool> {
        Ok(touch::write(&self.db, vec![row]).await? == 1)
    }

    /// Sessions as they will be once their touches are written, newest activity first.
    pub fn overlaid(&self, mut rows: Vec<(Record, Option<String>)>) -> Vec<(Record, Option<String>)> {
        for (record, _) in &mut rows {
            self.touches.overlay(record);
        }
        rows.sort_by(|(one, _), (other, _)| {
            other.last_activity.cmp(&one.last_activity).then_with(|| one.id.cmp(&other.id))
        });
        rows
    }

    /// Records that a browser came with the key of a session that has ended. Once a session.
    async fn note_use_after_end(&self, id: String, ip: Option<String>) -> Result<()> {
        self.db
            .write(async move |conn: &mut Conn<'_>| {
                let noted: Option<(String, Option<String>)> = find!(
                    conn,
                    get_result(
                        diesel::update(
                            sessions::table.filter(sessions::id.eq(&id)).filter(sessions::used_after_end_at.is_null())
                        )
                        .set(sessions::used_after_end_at.eq(now().nullable()))
                        .returning((sessions::account_id, sessions::device_id))
                    )
                )?;
                let Some((account, device)) = noted else {
                    return Ok(());
                };
                let name = match &device {
                    Some(device) => find!(conn, first(devices::table.find(device).select(devices::name)))?,
                    None => None::<String>,
                };
                let event = Event::of(audit::Kind::SessionUsedAfterEnd, &account)
                    .by("visitor")
                    .session(&id)
                    .device(device.as_deref(), name.as_deref())
                    .ip(ip.as_deref());
                audit::record(conn, &[event]).await
            })
            .await
    }

    /// Merges the keys that a request changed into the stored state. `false` when the session has ended.
    async fn merge_state(&self, key: &SessionKey, patch: Value) -> Result<bool> {
        let (id, hash) = (key.id().to_owned(), key.secret().hash());
        let rows = self
            .db
            .statement(async move |conn: &mut Conn<'_>| {
                run!(
                    conn,
                    execute(
                        diesel::update(
                            sessions::table
                                .filter(sessions::id.eq(&id))
                                .filter(sessions::secret_hash.eq(&hash))
                                .filter(sessions::ended_at.is_null())
                                .filter(sessions::expires_at.gt(now()))
                        )
                        .set((
                            sessions::state.eq(merged(sessions::state, patch)),
                            sessions::version.eq(sessions::version + 1),
                        ))
                    )
                )
            })
            .await?;
        Ok(rows == 1)
    }
}

impl SessionStore for Sessions {
    /// `None` for whatever does not live. What was found is left in the request's facts.
    async fn load(&self, key: &CookieValue) -> Result<Option<State>, LoadError> {
        let Some(key) = SessionKey::parse(key.as_ref()) else {
            return Ok(None);
        };
        let facts = request::current();
        // What was not verified and noted as presented is not loaded either: the two can never be at odds.
        if facts.as_ref().is_some_and(|facts| !facts.presents(&key)) {
            return Ok(None);
        }
        let found = self.find(&key).await.map_err(|error| LoadError::Other(fault(error)))?;
        let standing = match found {
            Found::Unknown | Found::Expired(_) => Standing::None,
            Found::Ended { told, first_use } => {
                if first_use {
                    let ip = facts.as_ref().and_then(|facts| facts.ip.clone());
                    if let Err(error) = self.note_use_after_end(key.id().to_owned(), ip).await {
                        tracing::warn!(%error, session = key.id(), "use after end was not recorded");
                    }
                }
                Standing::Ended(told)
            }
            Found::Live(loaded) => Standing::Live(Rc::from(loaded)),
        };
        let state = match &standing {
            Standing::Live(loaded) => {
                let mut state = loaded.state.clone();
                let identity = Value::String(loaded.account.id.clone());
                state.insert(IDENTITY.to_owned(), identity.to_string());
                Some(state)
            }
            _ => None,
        };
        if let Some(facts) = facts {
            facts.standing.replace(standing);
        }
        Ok(state)
    }

    /// Only hands out the key of a login that the handler has committed: visitors make no rows.
    async fn save(&self, mut state: State, _: &CookieDuration) -> Result<CookieValue, SaveError> {
        current::take_finished_key(&mut state)
            .and_then(|key| key.ok_or_else(|| Error::bug("state was set without a session to keep it")))
            .map_err(|error| SaveError::Other(fault(error)))
    }

    /// Hands out the key of a login that the handler has committed; else merges the keys that this request changed.
    /// A session that has ended meanwhile is an error, and nothing is inserted.
    async fn update(&self, key: CookieValue, mut state: State, _: &CookieDuration) -> Result<CookieValue, UpdateError> {
        let merged = async {
            if let Some(finished) = current::take_finished_key(&mut state)? {
                return Ok(finished);
            }
            let own = SessionKey::parse(key.as_ref()).ok_or(Error::SessionEnded(EndedBecause::Unknown))?;
            let patch = changes(state);
            if patch.is_empty() || self.merge_state(&own, Value::Object(patch)).await? {
                return Ok(key);
            }
            Err(Error::SessionEnded(self.why_ended(&own).await?))
        };
        merged.await.map_err(|error| UpdateError::Other(fault(error)))
    }

    /// Writes a touch at once. The middleware is set up not to call it: touches are queued by the guard.
    async fn update_ttl(&self, key: &CookieValue, _: &CookieDuration) -> Result<(), anyhow::Error> {
        let Some(key) = SessionKey::parse(key.as_ref()) else {
            return Ok(());
        };
        if let Found::Live(loaded) = self.find(&key).await.map_err(fault)? {
            let row = TouchRow {
                id: loaded.record.id,
                at: loaded.now,
                expires_at: loaded.now.plus(self.times.idle).min(loaded.record.absolute_expires_at),
                ip: loaded.record.ip,
            };
            self.touch_now(row).await.map_err(fault)?;
        }
        Ok(())
    }

    /// Ends the session as logged out, unless the handler has ended it itself.
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

impl Sessions {
    /// Ends the session that a key opens as logged out; whether it lived.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn log_out(&self, key: &SessionKey, ip: Option<String>) -> Result<bool> {
        let key = key.clone();
        self.db
            .write(async move |conn: &mut Conn<'_>| {
                let Some(account) = statements::owner(conn, &key).await? else {
                    return Ok(false);
                };
                let one = ends::Scope::One(key.id().to_owned());
                Ok(ends::end(conn, &one, EndReason::LoggedOut, &account, ip.as_deref()).await? == 1)
            })
            .await
    }

    /// Why a session that lived when its request began does not any more.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn why_ended(&self, key: &SessionKey) -> Result<EndedBecause> {
        Ok(match self.find(key).await? {
            Found::Ended { told, .. } => told.because,
            Found::Live(_) | Found::Unknown | Found::Expired(_) => EndedBecause::Unknown,
        })
    }
}

/// What the request changed, against what was loaded: texts that are new, null for what is gone.
fn changes(mut state: State) -> serde_json::Map<String, Value> {
    current::strip_reserved(&mut state);
    let before = request::current().and_then(|facts| facts.live());
    let mut patch = serde_json::Map::new();
    if let Some(before) = before {
        let gone = before.state.keys().filter(|name| !state.contains_key(*name));
        patch.extend(gone.map(|name| (name.clone(), Value::Null)));
        state.retain(|name, value| before.state.get(name) != Some(value));
    }
    patch.extend(state.into_iter().map(|(name, value)| (name, Value::String(value))));
    patch
}

/// Keeps what the store ran into for the outer layer, since actix-session makes an opaque 500 of it.
fn fault(error: Error) -> anyhow::Error {
    let words = anyhow::anyhow!("{error}");
    if let Some(facts) = request::current() {
        facts.fault.replace(Some(error));
    }
    words
}

//! Finds the session of a key that a browser presents, once per request. Called by the [`store`](super::store).
//!
//! Invariant: a request learns about a session only if it presents the session's secret or a former secret.

use std::time::Duration;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};

use super::{
    ended::Ended,
    former, generation,
    key::SessionKey,
    key_owner,
    live::has_run_out,
    record::SessionRef,
    request::{self, HandedOver, Loaded},
    service::Sessions,
    state, statements,
    stored::{self, Stored},
    sweep,
};
use crate::base::{
    db::{Conn, Instant, now, run, schema::sessions},
    error::{Away, EndedBecause, Error, Result},
    secret::Secret,
};

/// How long a request waits until the first use of its key is recorded.
const FIRST_USE_TIMEOUT: Duration = Duration::from_millis(300);

/// How long after its end a session's end counts as recent. By then, the transaction that ended a session has committed and the other nodes have heard of it.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// The result of looking up a key.
#[derive(Debug)]
pub enum Found {
    /// The session is live.
    Live(Box<Loaded>),
    /// The session has ended, and its browser may be given the reason.
    Ended {
        /// The information that the browser may be given.
        details: Ended,
        /// The session. Its id differs from the key's id if the session has been rotated since.
        session: SessionRef,
        /// Whether this is the first recorded use since the end.
        first_use: bool,
    },
    /// The key is a former key whose successor has been used.
    Former,
    /// The session has expired, or all sessions were ended since it began, but its row has not ended yet.
    /// [`Sessions::find`] never returns this: it ends the row before it reports the end, so that a clock that is set back
    /// cannot revive the session.
    Overdue {
        session: SessionRef,
        /// When it expired. `None` if all sessions were ended.
        expired_at: Option<Instant>,
    },
    /// There is no such session, or the secret is wrong.
    Unknown,
}

impl Sessions {
    /// Looks up a key, in memory if that can confirm the session, and ends its session if it has expired.
    pub async fn find(&self, key: &SessionKey) -> Result<Found> {
        let found = match self.cache.find(key, self.clock.now()) {
            Some(stored) => Ok(self.remembered(stored, key)),
            None => self.look_up(key).await,
        };
        let found = match found {
            Ok(Found::Overdue { session, expired_at: Some(at) }) => self.expire(key, session, at).await,
            Ok(Found::Overdue { session, expired_at: None }) => self.end_outdated(key, session).await,
            Ok(Found::Ended { details, session, first_use }) => {
                self.settle_end(&session, &details).await?;
                Ok(Found::Ended { details, session, first_use })
            }
            found => found,
        };
        self.db.metrics().session_load(match &found {
            Ok(Found::Live(_)) => "live",
            Ok(Found::Ended { .. } | Found::Overdue { .. }) => "ended",
            Ok(Found::Former) => "former",
            Ok(Found::Unknown) => "unknown",
            Err(_) => "failed",
        });
        found
    }

    /// Why a session ended that was live when its request began.
    pub async fn why_ended(&self, key: &SessionKey) -> Result<EndedBecause> {
        // The announcement of the end may not have reached this node yet.
        self.cache.forget(key.id());
        Ok(match self.find(key).await? {
            Found::Ended { details, .. } => details.because,
            Found::Live(_) | Found::Former | Found::Unknown | Found::Overdue { .. } => EndedBecause::Unknown,
        })
    }

    /// The result for a session that memory has confirmed.
    fn remembered(&self, stored: Stored, key: &SessionKey) -> Found {
        match self.result_of(stored, key.clone(), None) {
            Found::Live(loaded) => Found::Live(Box::new(Loaded { from_memory: true, ..*loaded })),
            other => other,
        }
    }

    /// Looks up a key in the database, and remembers its session if it is live.
    pub(super) async fn look_up(&self, key: &SessionKey) -> Result<Found> {
        let account_id = key_owner::read(&self.db, key).await?;
        let stamp = self.cache.stamp(&account_id);
        if let Some(row) = stored::read(&self.db, &account_id, key.id()).await? {
            if !key.secret().matches(&row.secret_hash) {
                return Ok(Found::Unknown);
            }
            self.cache.keep(stamp, &row);
            return Ok(self.result_of(row, key.with_account(&account_id), None));
        }
        let Some(former) = former::read(&self.db, &account_id, key).await? else {
            return Ok(Found::Unknown);
        };
        let Some(row) = stored::read(&self.db, &account_id, &former.session_id).await? else {
            return Ok(Found::Former);
        };
        Ok(self.result_of_former(row, key))
    }

    /// The result for a former key. Until its successor is used, a former key yields the live session and its new key.
    fn result_of_former(&self, row: Stored, old: &SessionKey) -> Found {
        let lineage = &row.lineage;
        let is_direct = lineage.awaits_use() && lineage.previous_id.as_deref() == Some(old.id());
        let nonce = lineage.key_nonce.as_deref().filter(|_| is_direct);
        let secret = nonce.and_then(|nonce| self.keys.successor_again(old, nonce, &row.secret_hash));
        let Some(secret) = secret else {
            return match self.result_of(row, old.clone(), None) {
                Found::Live(_) => Found::Former,
                ended => ended,
            };
        };
        let key = SessionKey::from_parts(&row.record.account_id, row.record.id.clone(), secret);
        let hash = row.device_secret.as_deref();
        let handed_over = HandedOver {
            device_secret: hash.and_then(|hash| self.device_secret_again(&row, &key, hash)),
            device_hashes: row.device_secret.iter().chain(&row.previous_device_secret).cloned().collect(),
        };
        self.result_of(row, key, Some(handed_over))
    }

    /// Derives the current secret of the session's device again, if the sign-in that issued this key made the secret.
    /// It derives from the key, or from the secret that the browser still has.
    fn device_secret_again(&self, row: &Stored, key: &SessionKey, hash: &[u8]) -> Option<Secret> {
        self.keys.device_secret_again(key, hash).or_else(|| {
            let (facts, device) = (request::current()?, row.record.device_id.as_deref()?);
            facts.device_secrets.iter().find_map(|old| self.keys.devices().next_again(device, old, hash))
        })
    }

    fn result_of(&self, row: Stored, key: SessionKey, handed_over: Option<HandedOver>) -> Found {
        self.clock.compare(row.now);
        if let Some(facts) = request::current() {
            facts.kept_zone.replace(row.account.time_zone.clone());
        }
        let mut record = row.record;
        if let (Some(at), Some(reason)) = (row.ended_at, row.ended_reason) {
            let details = Ended::by(reason, row.ended_by.as_deref(), at);
            return Found::Ended { details, session: record.into(), first_use: row.used_after_end_at.is_none() };
        }
        if row.is_outdated {
            return Found::Overdue { expired_at: None, session: record.into() };
        }
        self.touches.overlay(&mut record);
        if has_run_out(record.expires_at, row.now) {
            return Found::Overdue { expired_at: Some(record.expires_at), session: record.into() };
        }
        let times = [record.created_at, record.authenticated_at, record.last_activity, row.password_changed_at];
        if times.iter().any(|time| time.age(row.now).is_none()) {
            self.clock.meet_future();
        }
        let first_use = row.lineage.awaits_use() && handed_over.is_none();
        Found::Live(Box::new(Loaded {
            first_use_with: first_use.then_some(row.device_secret).flatten(),
            first_use,
            record,
            account: row.account,
            device_name: row.device_name,
            key,
            handed_over,
            state: state::from_row(row.state),
            password_changed_at: row.password_changed_at,
            now: row.now,
            from_memory: false,
        }))
    }

    /// Before an end is reported: the request that committed it may still be waiting for the other nodes, and its
    /// announcement may not have reached this one. Makes sure that no node answers from memory with the session.
    pub(super) async fn settle_end(&self, session: &SessionRef, ended: &Ended) -> Result<()> {
        self.cache.forget_account(&session.account_id);
        let is_recent = ended.at.is_none_or(|at| self.clock.now().since(at) < SETTLED_AFTER);
        if is_recent { self.db.wait_for_other_nodes().await } else { Ok(()) }
    }

    /// Ends a session in its row before its expiry is reported. The browser learns of the end from this response, so a
    /// later use of the key is not recorded as use after end.
    async fn expire(&self, key: &SessionKey, session: SessionRef, at: Instant) -> Result<Found> {
        if self.end_expired(session.clone(), true).await? {
            return Ok(Found::Ended { details: Ended::expired(at), session, first_use: false });
        }
        // Another request has ended or touched the session meanwhile.
        match self.look_up(key).await? {
            Found::Overdue { session, expired_at: None } => self.end_outdated(key, session).await,
            Found::Overdue { .. } => Err(Error::unavailable(Away::Database, "an expired session could not be ended")),
            found => Ok(found),
        }
    }

    /// Ends an outdated session in its row before its end is reported.
    async fn end_outdated(&self, key: &SessionKey, session: SessionRef) -> Result<Found> {
        self.db.write(async move |conn: &mut Conn<'_>| generation::end_these(conn, &[session]).await).await?;
        match self.look_up(key).await? {
            Found::Ended { details, session, first_use } => {
                self.settle_end(&session, &details).await?;
                Ok(Found::Ended { details, session, first_use })
            }
            Found::Overdue { .. } => Err(Error::unavailable(Away::Database, "an outdated session could not be ended")),
            found => Ok(found),
        }
    }

    /// Ends an expired session in its row. `is_told` says that its browser learns of the end from this response. `false` if
    /// another request has ended or touched the session meanwhile.
    pub(super) async fn end_expired(&self, ended: SessionRef, is_told: bool) -> Result<bool> {
        let expired = self
            .db
            .write(async move |conn: &mut Conn<'_>| {
                let expired = sweep::expire(conn, std::slice::from_ref(&ended)).await?;
                if expired > 0 && is_told {
                    let used = sessions::used_after_end_at.eq(now().nullable());
                    let own = sessions::table.find((&ended.account_id, &ended.id));
                    run!(conn, execute(diesel::update(own).set(used)))?;
                }
                Ok(expired)
            })
            .await?;
        Ok(expired > 0)
    }

    /// Records the first use of a key, before the request does anything else. A failure does not stop the request: the
    /// previous key then stays valid until the next request.
    pub(super) async fn note_first_use(&self, loaded: &Loaded) {
        let (db, key) = (self.db.clone(), loaded.key.clone());
        let device = loaded.record.device_id.clone().zip(loaded.first_use_with.clone());
        let has_secret = |hash: &[u8]| request::current().is_some_and(|facts| facts.has_device_secret(hash));
        let device = device.filter(|(_, hash)| has_secret(hash) || self.keys.device_secret_again(&key, hash).is_some());
        let account_id = loaded.account.id.clone();
        let recording = actix_web::rt::spawn(async move {
            if let Some((id, hash)) = device {
                let account = account_id.clone();
                db.statement(async move |conn: &mut Conn<'_>| {
                    statements::note_device_secret(conn, &account, &id, &hash).await
                })
                .await?;
            }
            db.statement(async move |conn: &mut Conn<'_>| statements::note_use(conn, &account_id, &key).await).await
        });
        // The task continues after the timeout.
        match tokio::time::timeout(FIRST_USE_TIMEOUT, recording).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "failed to record the first use of a session key"),
            Ok(Err(_)) | Err(_) => tracing::warn!("recording the first use of a session key did not finish in time"),
        }
    }
}

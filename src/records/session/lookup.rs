//! What is under a key that a browser presents: the one read of a request. Called by the [`store`](super::store).
//!
//! Invariant: nothing is told of a session to who does not have its secret, or one that it had before.

use std::time::Duration;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};

use super::{
    ended::Ended,
    former,
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

/// How long a request waits until the first use of its key is noted.
const FIRST_USE_PATIENCE: Duration = Duration::from_millis(300);

/// What was found under a key.
#[derive(Debug)]
pub enum Found {
    /// It lives.
    Live(Box<Loaded>),
    /// It has ended; its browser may be told.
    Ended {
        /// What may be told.
        told: Ended,
        /// The session, whose id is another than the key's if it was rotated since.
        session: SessionRef,
        /// Whether this was noticed for the first time.
        first_use: bool,
    },
    /// The key is from before a rotation, and the one after it was used.
    Former,
    /// Its time has run out, and its row does not say so yet. [`Sessions::find`] never returns it: what is told to have
    /// expired has ended in its row first, so that no clock that is put back revives it.
    Expired {
        session: SessionRef,
        /// When its time ran out.
        at: Instant,
    },
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
            Ok(Found::Expired { session, at }) => self.expire(key, session, at).await,
            found => found,
        };
        self.db.metrics().session_load(match &found {
            Ok(Found::Live(_)) => "live",
            Ok(Found::Ended { .. } | Found::Expired { .. }) => "ended",
            Ok(Found::Former) => "former",
            Ok(Found::Unknown) => "unknown",
            Err(_) => "failed",
        });
        found
    }

    /// Why a session that lived when its request began does not any more.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn why_ended(&self, key: &SessionKey) -> Result<EndedBecause> {
        Ok(match self.find(key).await? {
            Found::Ended { told, .. } => told.because,
            Found::Live(_) | Found::Former | Found::Unknown | Found::Expired { .. } => EndedBecause::Unknown,
        })
    }

    pub(super) async fn look_up(&self, key: &SessionKey) -> Result<Found> {
        let account_id = key_owner::read(&self.db, key).await?;
        if let Some(row) = stored::read(&self.db, &account_id, key.id()).await? {
            return Ok(match key.secret().matches(&row.secret_hash) {
                true => self.judge(row, key.with_account(&account_id), None),
                false => Found::Unknown,
            });
        }
        let Some(former) = former::read(&self.db, &account_id, key).await? else {
            return Ok(Found::Unknown);
        };
        let Some(row) = stored::read(&self.db, &account_id, &former.session_id).await? else {
            return Ok(Found::Former);
        };
        Ok(self.judge_former(row, key))
    }

    /// What a key from before a rotation is good for: to get the key that followed it, until that was used.
    fn judge_former(&self, row: Stored, old: &SessionKey) -> Found {
        let lineage = &row.lineage;
        let is_direct = lineage.awaits_use() && lineage.previous_id.as_deref() == Some(old.id());
        let nonce = lineage.key_nonce.as_deref().filter(|_| is_direct);
        let secret = nonce.and_then(|nonce| self.keys.successor_again(old, nonce, &row.secret_hash));
        let Some(secret) = secret else {
            return match self.judge(row, old.clone(), None) {
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
        self.judge(row, key, Some(handed_over))
    }

    /// The present secret of a session's device, if the sign-in that gave it this key has made it: from the key, or from the
    /// secret that the browser still has.
    fn device_secret_again(&self, row: &Stored, key: &SessionKey, hash: &[u8]) -> Option<Secret> {
        self.keys.device_secret_again(key, hash).or_else(|| {
            let (facts, device) = (request::current()?, row.record.device_id.as_deref()?);
            facts.device_secrets.iter().find_map(|old| self.keys.devices().next_again(device, old, hash))
        })
    }

    fn judge(&self, row: Stored, key: SessionKey, handed_over: Option<HandedOver>) -> Found {
        self.clock.compare(row.now);
        if let Some(facts) = request::current() {
            facts.kept_zone.replace(row.account.time_zone.clone());
        }
        let mut record = row.record;
        if let (Some(at), Some(reason)) = (row.ended_at, row.ended_reason) {
            let told = Ended::by(reason, row.ended_by.as_deref(), at);
            return Found::Ended { told, session: record.into(), first_use: row.used_after_end_at.is_none() };
        }
        self.touches.overlay(&mut record);
        if has_run_out(record.expires_at, row.now) {
            return Found::Expired { at: record.expires_at, session: record.into() };
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
        }))
    }

    /// Ends a session in its row before anybody is told that it has expired. Whoever holds its key is told by that, so a
    /// later use of the key is no news for the activity.
    async fn expire(&self, key: &SessionKey, session: SessionRef, at: Instant) -> Result<Found> {
        let ended = session.clone();
        let expired = self
            .db
            .write(async move |conn: &mut Conn<'_>| {
                let expired = sweep::expire(conn, std::slice::from_ref(&ended)).await?;
                if expired > 0 {
                    let used = sessions::used_after_end_at.eq(now().nullable());
                    let own = sessions::table.find((&ended.account_id, &ended.id));
                    run!(conn, execute(diesel::update(own).set(used)))?;
                }
                Ok(expired)
            })
            .await?;
        if expired > 0 {
            return Ok(Found::Ended { told: Ended::expired(at), session, first_use: false });
        }
        // Another request has ended or touched it meanwhile.
        match self.look_up(key).await? {
            Found::Expired { .. } => {
                Err(Error::unavailable(Away::Database, "a session that has expired cannot be ended"))
            }
            found => Ok(found),
        }
    }

    /// Notes the first use of a key, before anything is done with it. That it cannot be noted just now stops nobody: the
    /// key from before then counts until the next request.
    pub(super) async fn note_first_use(&self, loaded: &Loaded) {
        let (db, key) = (self.db.clone(), loaded.key.clone());
        let device = loaded.record.device_id.clone().zip(loaded.first_use_with.clone());
        let shows = |hash: &[u8]| request::current().is_some_and(|facts| facts.has_device_secret(hash));
        let device = device.filter(|(_, hash)| shows(hash) || self.keys.device_secret_again(&key, hash).is_some());
        let account_id = loaded.account.id.clone();
        let noted = actix_web::rt::spawn(async move {
            if let Some((id, hash)) = device {
                let account = account_id.clone();
                db.statement(async move |conn: &mut Conn<'_>| {
                    statements::note_device_secret(conn, &account, &id, &hash).await
                })
                .await?;
            }
            db.statement(async move |conn: &mut Conn<'_>| statements::note_use(conn, &account_id, &key).await).await
        });
        // It goes on though nobody waits for it any more.
        match tokio::time::timeout(FIRST_USE_PATIENCE, noted).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the first use of a session key was not noted"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the first use of a session key is not noted yet"),
        }
    }
}

//! Finds the grant of a key that a browser presents at an app, with its session. Called by the gate.
//!
//! Invariant: whoever is not sure that the session lives asks the database, and an end is reported only when no node can
//! answer from memory with the session.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _,
    SelectableHelper as _,
};

use super::{
    super::{
        ended::Ended,
        generation,
        listing::own_device,
        live::has_run_out,
        record::{Record, SessionRef},
        service::Sessions,
        stored::Stored,
        touch::{self, Due},
    },
    key::GrantKey,
};
use crate::{
    base::{
        db::{
            Conn, Instant, find,
            schema::{accounts, app_grants, devices, sessions},
        },
        error::{Away, Error, Result},
    },
    records::account::Account,
};

/// A grant whose session is live.
#[derive(Debug)]
pub struct Granted {
    pub app_id: String,
    /// When the app was opened. The cookie of the session was renewed then.
    pub opened_at: Instant,
    pub record: Record,
    pub account: Account,
    /// The database's time at the read.
    pub now: Instant,
    from_memory: bool,
}

impl Sessions {
    /// The grant of this key, in memory if that can confirm it. `None` if there is none, or its session has ended.
    pub async fn find_grant(&self, key: &GrantKey) -> Result<Option<Granted>> {
        if let Some((app_id, opened_at, stored)) = self.cache.find_grant(key, self.clock.now()) {
            let granted = Granted { from_memory: true, ..self.granted(app_id, opened_at, stored) };
            if !has_run_out(granted.record.expires_at, granted.now) {
                return Ok(Some(granted));
            }
        }
        self.look_up_grant(key).await
    }

    /// Counts the request as activity of the session. `None` if the session has ended meanwhile.
    pub async fn touch_by_grant(&self, key: &GrantKey, granted: Granted, ip: Option<&str>) -> Result<Option<Granted>> {
        let due = |granted: &Granted| touch::due(&granted.record, granted.now, ip, self.times);
        let mut granted = granted;
        if due(&granted) != Due::No && granted.from_memory {
            // The session may have been touched meanwhile: by another node, or at another app.
            match self.look_up_grant(key).await? {
                Some(read) => granted = read,
                None => return Ok(None),
            }
        }
        match due(&granted) {
            Due::No => {}
            Due::Queue(row) => {
                self.cache.touch_grant(key, &row);
                self.queue_touch(row);
            }
            Due::Now(row) => {
                let is_live = self.touch_now(row).await?;
                self.cache.forget_grant(key);
                if !is_live {
                    // It has ended, or another request has touched it first.
                    return self.look_up_grant(key).await;
                }
            }
        }
        Ok(Some(granted))
    }

    async fn look_up_grant(&self, key: &GrantKey) -> Result<Option<Granted>> {
        // Twice, because another request may touch a session that seems to have expired, and an outdated session is
        // ended in its row before its end is reported.
        for _ in 0..2 {
            let stamp = self.cache.stamp(key.account_id());
            let Some((app_id, opened_at, stored)) = self.read_grant(key).await? else { return Ok(None) };
            self.clock.compare(stored.now);
            if let (Some(at), Some(reason)) = (stored.ended_at, stored.ended_reason) {
                let ended = Ended::by(reason, stored.ended_by.as_deref(), at);
                self.settle_end(&stored.record.into(), &ended).await?;
                return Ok(None);
            }
            if stored.is_outdated {
                let outdated = SessionRef::from(stored.record);
                self.db.write(async move |conn: &mut Conn<'_>| generation::end_these(conn, &[outdated]).await).await?;
                continue;
            }
            self.cache.keep_grant(stamp, key, (&app_id, opened_at), &stored);
            let granted = self.granted(app_id, opened_at, stored);
            if !has_run_out(granted.record.expires_at, granted.now) {
                return Ok(Some(granted));
            }
            if self.end_expired(SessionRef::from(granted.record), false).await? {
                return Ok(None);
            }
        }
        Err(Error::unavailable(Away::Database, "an expired session could not be ended"))
    }

    fn granted(&self, app_id: String, opened_at: Instant, stored: Stored) -> Granted {
        let mut record = stored.record;
        self.touches.overlay(&mut record);
        if [record.last_activity, opened_at].iter().any(|time| time.age(stored.now).is_none()) {
            self.clock.meet_future();
        }
        Granted { app_id, opened_at, record, account: stored.account, now: stored.now, from_memory: false }
    }

    /// The app, the time of the opening and the session, live or ended. The session has the hash of the grant's secret.
    async fn read_grant(&self, key: &GrantKey) -> Result<Option<(String, Instant, Stored)>> {
        type Row = (String, Vec<u8>, Instant, Stored);
        let (account_id, id) = (key.account_id().to_owned(), key.id().to_owned());
        let row: Option<Row> = self
            .db
            .read(async move |conn: &mut Conn<'_>| {
                let own_session =
                    app_grants::account_id.eq(sessions::account_id).and(app_grants::sid.nullable().eq(sessions::sid));
                find!(
                    conn,
                    get_result(
                        app_grants::table
                            .inner_join(sessions::table.on(own_session))
                            .inner_join(accounts::table.on(sessions::account_id.eq(accounts::id)))
                            .left_join(devices::table.on(own_device()))
                            .filter(app_grants::account_id.eq(&account_id))
                            .filter(app_grants::id.eq(&id))
                            .select((
                                app_grants::app_id,
                                app_grants::secret_hash,
                                app_grants::created_at,
                                Stored::as_select()
                            ))
                    )
                )
            })
            .await?;
        let row = row.filter(|(_, secret_hash, ..)| key.secret().matches(secret_hash));
        Ok(row.map(|(app_id, secret_hash, opened_at, stored)| (app_id, opened_at, Stored { secret_hash, ..stored })))
    }
}

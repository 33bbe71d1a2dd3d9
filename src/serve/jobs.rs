//! The background jobs of a server: news, touches, the clock, the anchors of the audit trail, and sweeps. Called by
//! [`run`](super::run).
//!
//! Invariant: a job that fails is tried again, and stops neither the others nor a request.

use std::time::Duration;

use actix_web::rt;

use super::{anchors::Anchors, app::Parts, risks};
use crate::{
    base::{
        db::{Db, inspect::Inspection},
        outage::Outage,
        settings::Settings,
    },
    records::{
        audit::{retention, sweep as audit_sweep},
        draft,
        session::{Sessions, device_sweep, sweep, touch},
        throttle,
    },
};

const CLOCK_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest time between two measurements of the clock.
const CLOCK_REST: Duration = Duration::from_millis(500);
/// The database's clock was put back if it moved by at least so many microseconds at once.
const WENT_BACK: i64 = -1_000_000;

/// Does all of them until this is dropped.
pub async fn run(parts: &Parts, settings: &Settings, anchors: &Anchors) {
    tokio::join!(
        warn_of_database(&parts.sessions, settings),
        parts.news.run(),
        flush_touches(&parts.sessions),
        follow_the_clock(&parts.sessions),
        anchors.now_and_then(),
        sweep_now_and_then(&parts.sessions.db, settings)
    );
}

/// Logs what `doctor` would find wrong with the database's server and the clocks.
async fn warn_of_database(sessions: &Sessions, settings: &Settings) {
    if let Err(wrong) = risks::clock(sessions.clock.offset_micros()) {
        risks::warn_of("clock", &wrong);
    }
    match Inspection::weaknesses_of_server(settings).await {
        Ok(found) => {
            if let Err(wrong) = risks::durability(&found) {
                risks::warn_of("durability", &wrong);
            }
        }
        Err(error) => tracing::debug!(%error, "the database's settings were not looked at"),
    }
}

async fn flush_touches(sessions: &Sessions) {
    let mut outage = Outage::new("writing the activity of sessions");
    loop {
        rt::time::sleep(touch::FLUSH_INTERVAL).await;
        // Nothing to write proves nothing.
        if !sessions.touches.is_empty() {
            outage.see(sessions.touches.flush(&sessions.db).await);
        }
    }
}

/// Follows the database's clock. Times that were stored while it was ahead become now: at the start, since it may have
/// been put right meanwhile, and when it goes back.
async fn follow_the_clock(sessions: &Sessions) {
    let mut measuring = Outage::new("measuring the clock");
    let mut settling = Outage::new("setting stored times in the future to now");
    settling.see(sessions.db.settle_future().await);
    loop {
        let _ = rt::time::timeout(CLOCK_INTERVAL, sessions.clock.doubted()).await;
        let moved = measuring.see(sessions.db.measure_clock(&sessions.clock).await);
        if sessions.clock.has_met_future() || moved.is_some_and(|moved| moved <= WENT_BACK) {
            settling.see(sessions.db.settle_future().await);
        }
        rt::time::sleep(CLOCK_REST).await;
    }
}

/// Sweeps at the start and after each prune interval, unless that is off.
async fn sweep_now_and_then(db: &Db, settings: &Settings) {
    let Some(every) = settings.prune_interval else { return };
    let mut sweeps = Sweeps::default();
    loop {
        sweeps.run(db, settings).await;
        rt::time::sleep(every).await;
    }
}

/// Whether each sweep works just now.
struct Sweeps {
    sessions: Outage,
    counts: Outage,
    drafts: Outage,
    repeats: Outage,
    devices: Outage,
    addresses: Outage,
    events: Outage,
}

impl Default for Sweeps {
    fn default() -> Self {
        Self {
            sessions: Outage::new("sweeping sessions"),
            counts: Outage::new("deleting old counts of wrong passwords"),
            drafts: Outage::new("deleting old drafts"),
            repeats: Outage::new("summing up repeated events"),
            devices: Outage::new("deleting old devices"),
            addresses: Outage::new("wiping old addresses"),
            events: Outage::new("removing old audit events"),
        }
    }
}

impl Sweeps {
    async fn run(&mut self, db: &Db, settings: &Settings) {
        match self.sessions.see(sweep::sweep(db).await) {
            Some(swept) if swept != sweep::Swept::default() => {
                tracing::info!(ended = swept.ended, deleted = swept.deleted, "sessions swept");
            }
            _ => {}
        }
        self.counts.see(throttle::count::sweep(db, settings.address_ttl).await);
        self.drafts.see(draft::sweep::sweep(db).await);
        self.repeats.see(audit_sweep::sweep(db).await);
        self.devices.see(device_sweep::sweep(db).await);
        if let Some(wiped @ 1..) = self.addresses.see(sweep::wipe_addresses(db, settings.address_ttl).await) {
            tracing::info!(wiped, "old addresses were wiped");
        }
        if let Some(removed @ 1..) = self.events.see(retention::sweep(db, settings.audit_ttl).await) {
            tracing::info!(removed, "old audit events were removed");
        }
    }
}

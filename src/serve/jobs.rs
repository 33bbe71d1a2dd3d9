//! The background jobs of a server: news, touches, the clock, the placement of the tables, digests of the audit trail,
//! and sweeps. Called by [`run`](super::run).
//!
//! Invariant: a failed job is retried, and stops neither another job nor a request.

use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use actix_web::rt;
use tokio::sync::Notify;

use super::{anchors::Anchors, app::Parts, mail, risks};
use crate::{
    actions::{person::leave, settle_future::settle_future},
    base::{
        coherence::Change,
        db::{Db, inspect::Inspection},
        outage::Outage,
        settings::Settings,
    },
    records::{
        account::search,
        app::Usage,
        audit::{retention, sweep as audit_sweep},
        draft, help, link, mail as mail_records,
        news::News,
        second_factor::spent,
        session::{Sessions, device_sweep, generation, grants, sweep, touch},
        throttle,
    },
};

const CLOCK_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest time between two measurements.
const CLOCK_REST: Duration = Duration::from_millis(500);
/// How often to look at the placement of the tables, even if no statement was refused.
const PLACEMENT_INTERVAL: Duration = Duration::from_secs(60);
/// How often outdated sessions are looked for, even if no node has announced that all sessions were ended.
const OUTDATED_INTERVAL: Duration = Duration::from_secs(300);
const OUTDATED_DELAY: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A correction of at least this many microseconds means that the database's clock was set back.
const WENT_BACK: i64 = -1_000_000;

/// Runs all jobs. Never returns.
pub async fn run(parts: &Parts, settings: &Settings, anchors: &Anchors) {
    tokio::join!(
        warn_about_database(&parts.sessions, settings),
        parts.hub.run(),
        flush_touches(&parts.sessions),
        write_usage(parts),
        mail::run(parts, settings),
        follow_the_clock(&parts.sessions),
        follow_the_placement(&parts.sessions.db),
        anchors.now_and_then(),
        end_outdated(&parts.sessions.db),
        sweep_periodically(&parts.sessions.db, settings)
    );
}

/// Logs the findings of `doctor` about the database server and the clocks.
async fn warn_about_database(sessions: &Sessions, settings: &Settings) {
    if let Err(wrong) = risks::clock(sessions.clock.offset_micros()) {
        risks::warn_of("clock", &wrong);
    }
    match Inspection::weaknesses_of_server(settings).await {
        Ok(found) => {
            if let Err(wrong) = risks::durability(&found) {
                risks::warn_of("durability", &wrong);
            }
        }
        Err(error) => tracing::debug!(%error, "reading the settings of the database failed"),
    }
}

async fn flush_touches(sessions: &Sessions) {
    let mut outage = Outage::new("writing the activity of sessions");
    loop {
        rt::time::sleep(touch::FLUSH_INTERVAL).await;
        // An empty flush does not reach the database, so it must not end an outage.
        if !sessions.touches.is_empty() {
            outage.see(sessions.touches.flush(&sessions.db).await);
        }
    }
}

async fn write_usage(parts: &Parts) {
    let mut outage = Outage::new("writing the last use of apps");
    loop {
        rt::time::sleep(Usage::INTERVAL).await;
        // Nothing to write does not reach the database, so it must not end an outage.
        match parts.usage.flush(&parts.sessions.db).await {
            Ok(0) => {}
            written => drop(outage.see(written)),
        }
    }
}

/// Follows the database's clock. Stored times that are in the future become the current time, at the start and whenever
/// the database's clock is set back.
async fn follow_the_clock(sessions: &Sessions) {
    let went_back = Notify::new();
    tokio::join!(measure_the_clock(sessions, &went_back), settle_the_future(&sessions.db, &went_back));
}

async fn measure_the_clock(sessions: &Sessions, went_back: &Notify) {
    let mut outage = Outage::new("measuring the clock");
    loop {
        let _ = rt::time::timeout(CLOCK_INTERVAL, sessions.clock.doubted()).await;
        let moved = outage.see(sessions.db.measure_clock(&sessions.clock).await);
        if sessions.clock.has_met_future() || moved.is_some_and(|moved| moved <= WENT_BACK) {
            went_back.notify_one();
        }
        rt::time::sleep(CLOCK_REST).await;
    }
}

/// A run takes minutes with millions of accounts. If the clock is set back during a run, another run follows.
async fn settle_the_future(db: &Db, went_back: &Notify) {
    let mut outage = Outage::new("correcting stored times in the future");
    loop {
        let mut pace = Pace::default();
        let settled = settle_future(db, async || _ = pace.pause().await).await;
        match outage.see(settled) {
            Some(()) => went_back.notified().await,
            None => _ = rt::time::timeout(CLOCK_INTERVAL, went_back.notified()).await,
        }
    }
}

/// Notices when `sessile distribute` has run in another process. It needs no `Outage`: a look that fails changes nothing,
/// and the other jobs report that the database is unavailable.
async fn follow_the_placement(db: &Db) {
    loop {
        rt::time::sleep(PLACEMENT_INTERVAL).await;
        db.look_at_distribution();
    }
}

/// Ends the rows of outdated sessions whenever all sessions were ended at once. A look at intervals finds what a node
/// left that stopped meanwhile.
async fn end_outdated(db: &Db) {
    let heard = Arc::new(Notify::new());
    let told = Arc::clone(&heard);
    db.coherence().on_change(move |change| {
        if matches!(change, Change::Announced(text) if News::heard(text) == News::Many) {
            told.notify_one();
        }
    });
    let mut outage = Outage::new("ending the rows of outdated sessions");
    loop {
        let _ = rt::time::timeout(OUTDATED_INTERVAL, heard.notified()).await;
        // A command that ends few sessions ends their rows itself.
        rt::time::sleep(OUTDATED_DELAY).await;
        let mut pace = Pace::default();
        if let Some(ended @ 1..) = outage.see(generation::end_outdated(db, async |_| pace.pause().await).await) {
            tracing::info!(ended, "ended the rows of sessions that were ended all at once");
        }
    }
}

/// Sweeps at the start and after each prune interval. Returns at once if the interval is off.
async fn sweep_periodically(db: &Db, settings: &Settings) {
    let Some(every) = settings.prune_interval else { return };
    let mut sweeps = Sweeps::default();
    loop {
        sweeps.run(db, settings).await;
        rt::time::sleep(every).await;
    }
}

/// Pauses as long after each batch as the batch took, so that requests find the database free.
struct Pace {
    began: Stopwatch,
}

impl Default for Pace {
    fn default() -> Self {
        Self { began: Stopwatch::now() }
    }
}

impl Pace {
    /// Returns `true`: the work goes on.
    async fn pause(&mut self) -> bool {
        rt::time::sleep(self.began.elapsed().min(LONGEST_PAUSE)).await;
        self.began = Stopwatch::now();
        true
    }
}

/// The outages of all sweeps.
struct Sweeps {
    outdated: Outage,
    sessions: Outage,
    counts: Outage,
    drafts: Outage,
    repeats: Outage,
    devices: Outage,
    codes: Outage,
    leavers: Outage,
    searches: Outage,
    links: Outage,
    helps: Outage,
    mails: Outage,
    proofs: Outage,
    addresses: Outage,
    events: Outage,
}

impl Default for Sweeps {
    fn default() -> Self {
        Self {
            outdated: Outage::new("ending the rows of outdated sessions before the sweep"),
            sessions: Outage::new("sweeping sessions"),
            counts: Outage::new("deleting old counts of wrong passwords"),
            drafts: Outage::new("deleting old drafts"),
            repeats: Outage::new("summarising repeated audit events"),
            devices: Outage::new("deleting old devices"),
            codes: Outage::new("deleting old codes for apps"),
            leavers: Outage::new("deleting accounts whose people asked for it"),
            searches: Outage::new("filling in the texts by which people are found"),
            links: Outage::new("deleting old links"),
            helps: Outage::new("deleting old requests for help"),
            mails: Outage::new("deleting old mails"),
            proofs: Outage::new("deleting old proofs of second factors"),
            addresses: Outage::new("wiping old addresses"),
            events: Outage::new("deleting old audit events"),
        }
    }
}

impl Sweeps {
    async fn run(&mut self, db: &Db, settings: &Settings) {
        let mut pace = Pace::default();
        // A sweep would read all outdated sessions in each batch.
        self.outdated.see(generation::end_outdated(db, async |_| pace.pause().await).await);
        match self.sessions.see(sweep::sweep_in_batches(db, async |_| pace.pause().await).await) {
            Some(swept) if swept != sweep::Swept::default() => {
                tracing::info!(ended = swept.ended, deleted = swept.deleted, "swept sessions");
            }
            _ => {}
        }
        self.counts.see(throttle::count::sweep(db, settings.address_ttl).await);
        self.drafts.see(draft::sweep::sweep(db).await);
        self.repeats.see(audit_sweep::sweep(db).await);
        self.devices.see(device_sweep::sweep(db).await);
        self.codes.see(grants::codes::sweep(db).await);
        self.searches.see(search::fill(db).await);
        if let Some(deleted @ 1..) = self.leavers.see(leave::sweep(db).await) {
            tracing::info!(deleted, "deleted accounts whose people asked for it");
        }
        self.links.see(link::sweep(db).await);
        self.helps.see(help::sweep(db).await);
        self.mails.see(mail_records::sweep(db).await);
        self.proofs.see(spent::sweep(db).await);
        let wiped = sweep::wipe_addresses_in_batches(db, settings.address_ttl, async |_| pace.pause().await).await;
        if let Some(wiped @ 1..) = self.addresses.see(wiped) {
            tracing::info!(wiped, "wiped old addresses");
        }
        let removed = retention::sweep_in_batches(db, settings.audit_ttl, async |_| pace.pause().await).await;
        if let Some(removed @ 1..) = self.events.see(removed) {
            tracing::info!(removed, "deleted old audit events");
        }
    }
}

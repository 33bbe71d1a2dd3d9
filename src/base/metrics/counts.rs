//! The metrics themselves: names, labels and the text format. Created and used only by the parent.
//!
//! Invariant: every metric is registered here, with the prefix `sessile`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};

use super::{cache::CacheCounts, present::Present};
use crate::base::error::{Away, Error, Result};

/// Upper bounds in seconds. The lowest fits an answer from memory. The highest is longer than clients wait.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// A label with one of a fixed set of words.
type Word = [(&'static str, &'static str); 1];

pub(super) struct Counts {
    registry: Registry,
    pub(super) started: Stopwatch,
    pub(super) requests: Family<Answered, Counter>,
    pub(super) request_seconds: Family<Asked, Histogram, Buckets>,
    pub(super) session_loads: Family<Word, Counter>,
    pub(super) touches_queued: Counter,
    pub(super) touches_flushed: Counter,
    pub(super) sweeps: Family<Word, Counter>,
    pub(super) swept: Family<Word, Counter>,
    pub(super) logins: Family<Word, Counter>,
    pub(super) second_factors: Family<Word, Counter>,
    pub(super) mails: Family<Word, Counter>,
    pub(super) hashes_refused: Counter,
    pub(super) news_seconds: Histogram,
    pub(super) app_streams: Gauge,
    pub(super) readiness_checks: Counter,
    pub(super) database_waiting: Gauge,
    pub(super) database_wait_seconds: Histogram,
    pub(super) database_seconds: Family<Word, Histogram, Buckets>,
    pub(super) database_faults: Family<Word, Counter>,
    /// When the database last answered, in milliseconds since `started`.
    pub(super) answered_at: AtomicU64,
    pub(super) cache: CacheCounts,
    present: PresentGauges,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Answered {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) status: u16,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

#[derive(Default)]
struct PresentGauges {
    pool_max: Gauge,
    pool_open: Gauge,
    pool_in_use: Gauge,
    hashes_waiting: Gauge,
    touches_waiting: Gauge,
    oldest_touch: Gauge<f64, AtomicU64>,
    live_sessions: Gauge<f64, AtomicU64>,
    since_answer: Gauge<f64, AtomicU64>,
    log_lines_lost: Counter,
    wrong_hosts: Counter,
    wrong_host_age: Gauge<f64, AtomicU64>,
}

impl Default for Counts {
    fn default() -> Self {
        let mut counts = Counts {
            registry: Registry::with_prefix("sessile"),
            started: Stopwatch::now(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(Buckets),
            session_loads: Family::default(),
            touches_queued: Counter::default(),
            touches_flushed: Counter::default(),
            sweeps: Family::default(),
            swept: Family::default(),
            logins: Family::default(),
            second_factors: Family::default(),
            mails: Family::default(),
            hashes_refused: Counter::default(),
            news_seconds: Histogram::new(BUCKETS),
            app_streams: Gauge::default(),
            readiness_checks: Counter::default(),
            database_waiting: Gauge::default(),
            database_wait_seconds: Histogram::new(BUCKETS),
            database_seconds: Family::new_with_constructor(Buckets),
            database_faults: Family::default(),
            answered_at: AtomicU64::new(0),
            cache: CacheCounts::default(),
            present: PresentGauges::default(),
        };
        counts.register();
        counts.register_database();
        counts.cache.register(&mut counts.registry);
        counts.register_present();
        counts.begin_at_zero();
        counts
    }
}

impl Counts {
    fn register(&mut self) {
        let all = &mut self.registry;
        all.register("requests", "Requests answered, by method, route pattern and status", self.requests.clone());
        all.register(
            "request_seconds",
            "Time from the head of a request to the head of its answer",
            self.request_seconds.clone(),
        );
        all.register("session_loads", "Sessions looked up, by what was found", self.session_loads.clone());
        all.register("touches_queued", "Touches that were queued", self.touches_queued.clone());
        all.register("touches_flushed", "Touches that were written", self.touches_flushed.clone());
        all.register("sweeps", "Sweeps, by how they ended", self.sweeps.clone());
        all.register("swept_sessions", "Sessions that sweeps ended or deleted", self.swept.clone());
        all.register("logins", "Logins, by their outcome", self.logins.clone());
        all.register("second_factors", "Second factors given, by their method", self.second_factors.clone());
        all.register("mails", "Attempts to send a mail, by their outcome", self.mails.clone());
        all.register(
            "password_hashes_refused",
            "Passwords that were not hashed because too many were waiting",
            self.hashes_refused.clone(),
        );
        all.register(
            "news_seconds",
            "Time from the end of a session until this node had read it",
            self.news_seconds.clone(),
        );
        all.register("app_streams", "Open streams of ended sessions to servers of apps", self.app_streams.clone());
        all.register(
            "readiness_checks",
            "Readiness checks that were carried out, not answered from the last result",
            self.readiness_checks.clone(),
        );
    }

    fn register_database(&mut self) {
        let all = &mut self.registry;
        all.register("database_waiting", "Units of work that wait for a connection", self.database_waiting.clone());
        all.register(
            "database_wait_seconds",
            "Time that units of work waited for a connection",
            self.database_wait_seconds.clone(),
        );
        all.register(
            "database_seconds",
            "Time of units of work that the database answered, their wait for a connection included",
            self.database_seconds.clone(),
        );
        all.register(
            "database_faults",
            "Units of work that failed because of the database, by fault",
            self.database_faults.clone(),
        );
    }

    /// Exposes counters as 0 before their first event, so that a scraper sees the first event as an increase.
    fn begin_at_zero(&self) {
        let zero = |family: &Family<Word, Counter>, label: &'static str, words: &[&'static str]| {
            words.iter().for_each(|word| drop(family.get_or_create(&[(label, *word)])));
        };
        zero(&self.session_loads, "found", &["live", "ended", "former", "unknown", "failed"]);
        zero(&self.sweeps, "end", &["done", "failed"]);
        zero(&self.swept, "what", &["ended", "deleted"]);
        zero(&self.logins, "outcome", &["welcome", "second-factor", "refused", "throttled", "failed"]);
        zero(&self.second_factors, "method", &["totp", "recovery", "passkey", "refused"]);
        zero(&self.mails, "outcome", &["sent", "deferred", "refused"]);
        let faults = [Away::Database, Away::Connection, Away::Deadline, Away::Busy];
        zero(&self.database_faults, "fault", &faults.map(fault_word));
    }

    fn register_present(&mut self) {
        let (all, present) = (&mut self.registry, &self.present);
        all.register("database_connections_max", "Connections allowed", present.pool_max.clone());
        all.register("database_connections", "Connections that are open", present.pool_open.clone());
        all.register("database_connections_in_use", "Connections lent to a unit of work", present.pool_in_use.clone());
        all.register(
            "database_since_answer_seconds",
            "Time since the database last answered",
            present.since_answer.clone(),
        );
        all.register(
            "password_hashes_waiting",
            "Passwords that are being hashed or wait for it",
            present.hashes_waiting.clone(),
        );
        all.register("touches_waiting", "Touches that are not written yet", present.touches_waiting.clone());
        all.register(
            "touches_oldest_seconds",
            "How long the oldest touch has waited to be written",
            present.oldest_touch.clone(),
        );
        all.register(
            "wrong_host_requests",
            "Requests that a proxy passed on with another Host than the browser's",
            present.wrong_hosts.clone(),
        );
        all.register(
            "wrong_host_age_seconds",
            "Time since the last request with a wrong Host; NaN if there was none",
            present.wrong_host_age.clone(),
        );
        all.register(
            "log_lines_lost",
            "Lines of the log that were not written: stderr or stdout was closed, full or not read",
            present.log_lines_lost.clone(),
        );
        all.register(
            "live_sessions",
            "Sessions that live, counted at most every 10 seconds; NaN before the first count",
            present.live_sessions.clone(),
        );
    }

    pub(super) fn render(&self, present: &Present, since_answer: Duration) -> Result<String> {
        let gauges = &self.present;
        self.cache.present(&present.cache);
        gauges.pool_max.set(whole(present.pool.max));
        gauges.pool_open.set(whole(present.pool.open));
        gauges.pool_in_use.set(whole(present.pool.in_use));
        gauges.hashes_waiting.set(whole(present.hashes_waiting));
        gauges.touches_waiting.set(whole(present.touches_waiting));
        gauges.oldest_touch.set(present.oldest_touch.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 sessions")]
        gauges.live_sessions.set(present.live_sessions.map_or(f64::NAN, |count| count as f64));
        let (wrong_hosts, last) = present.wrong_hosts;
        gauges.wrong_hosts.inner().store(wrong_hosts, Ordering::Relaxed);
        gauges.wrong_host_age.set(last.map_or(f64::NAN, |last| last.as_secs_f64()));
        gauges.log_lines_lost.inner().store(present.log_lines_lost, Ordering::Relaxed);
        gauges.since_answer.set(since_answer.as_secs_f64());
        let mut out = String::new();
        text::encode_registry(&mut out, &self.registry).map_err(Error::bug)?;
        Ok(as_prometheus(&out))
    }
}

/// Converts OpenMetrics to the Prometheus text format. The encoder writes OpenMetrics, which leaves `_total` out of a
/// counter's `HELP` and `TYPE` lines.
fn as_prometheus(open_metrics: &str) -> String {
    let counters: Vec<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut out = String::with_capacity(open_metrics.len() + 256);
    for line in open_metrics.lines() {
        let comment = line.strip_prefix("# ").and_then(|rest| {
            let (word, rest) = rest.split_once(' ')?;
            let (name, rest) = rest.split_once(' ')?;
            counters.contains(&name).then(|| format!("# {word} {name}_total {rest}"))
        });
        out.push_str(comment.as_deref().unwrap_or(line));
        out.push('\n');
    }
    out
}

pub(super) fn fault_word(fault: Away) -> &'static str {
    match fault {
        Away::Database | Away::Refused => "refused",
        Away::Connection => "connection",
        Away::Deadline => "deadline",
        Away::Busy => "busy",
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

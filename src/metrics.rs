//! What this node counts and times, for `GET /metrics`. [`Db`](crate::db::Db) carries the handle, since whoever has
//! something to record has the database at hand; `ops` renders it.
//!
//! Invariant: no label holds anything that a client chose: routes are patterns, methods and outcomes are words of ours.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
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

use crate::error::{Away, Error, Result};

/// Upper bounds in seconds: from what memory answers to what nobody waits for.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// The route of an address that is none of ours.
const NO_ROUTE: &str = "none";

/// The counts. Cheap to clone; all clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Counts>);

/// One label of ours, and its word.
type Word = [(&'static str, &'static str); 1];

struct Counts {
    registry: Registry,
    started: Stopwatch,
    requests: Family<Answered, Counter>,
    request_seconds: Family<Asked, Histogram, Buckets>,
    session_loads: Family<Word, Counter>,
    touches_queued: Counter,
    touches_flushed: Counter,
    sweeps: Family<Word, Counter>,
    swept: Family<Word, Counter>,
    logins: Family<Word, Counter>,
    readiness_checks: Counter,
    database_waiting: Gauge,
    database_wait_seconds: Histogram,
    database_seconds: Family<Word, Histogram, Buckets>,
    database_faults: Family<Word, Counter>,
    /// When the database last answered, in milliseconds since the start.
    answered_at: AtomicU64,
    present: PresentGauges,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, Copy)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

/// What is not counted but looked at when somebody asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present {
    /// The database's connections.
    pub pool: Pool,
    /// Passwords that are being hashed or wait for it.
    pub hashes_waiting: usize,
    /// Touches that are not written yet.
    pub touches_waiting: usize,
    /// How long the oldest of them has waited.
    pub oldest_touch: Duration,
    /// Sessions that live, as last counted; `None` before the database has answered that once.
    pub live_sessions: Option<i64>,
}

/// The connections to the database, of all lanes together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pool {
    /// How many there may be.
    pub max: usize,
    /// How many are open.
    pub open: usize,
    /// How many are lent to a unit of work.
    pub in_use: usize,
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
}

impl Default for Metrics {
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
            readiness_checks: Counter::default(),
            database_waiting: Gauge::default(),
            database_wait_seconds: Histogram::new(BUCKETS),
            database_seconds: Family::new_with_constructor(Buckets),
            database_faults: Family::default(),
            answered_at: AtomicU64::new(0),
            present: PresentGauges::default(),
        };
        counts.register();
        counts.register_database();
        counts.register_present();
        counts.begin_at_zero();
        Self(Arc::new(counts))
    }
}

impl Counts {
    fn register(&mut self) {
        let all = &mut self.registry;
        all.register("requests", "Requests answered, by method, route pattern and status", self.requests.clone());
        all.register("request_seconds", "Time from a request's head to its answer's", self.request_seconds.clone());
        all.register("session_loads", "Sessions looked up, by what was found", self.session_loads.clone());
        all.register("touches_queued", "Touches that were queued", self.touches_queued.clone());
        all.register("touches_flushed", "Touches that were written", self.touches_flushed.clone());
        all.register("sweeps", "Sweeps, by how they ended", self.sweeps.clone());
        all.register("swept_sessions", "Sessions that sweeps ended or deleted", self.swept.clone());
        all.register("logins", "Logins, by their outcome", self.logins.clone());
        all.register("readiness_checks", "Times that readiness was really checked", self.readiness_checks.clone());
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
        all.register("database_faults", "Units of work that the database did not do", self.database_faults.clone());
    }

    /// What has not happened yet is shown as 0, so that its first time is seen as a change.
    fn begin_at_zero(&self) {
        let zero = |family: &Family<Word, Counter>, label: &'static str, words: &[&'static str]| {
            words.iter().for_each(|word| drop(family.get_or_create(&[(label, *word)])));
        };
        zero(&self.session_loads, "found", &["live", "ended", "unknown", "failed"]);
        zero(&self.sweeps, "end", &["done", "failed"]);
        zero(&self.swept, "what", &["ended", "deleted"]);
        zero(&self.logins, "outcome", &["welcome", "refused", "failed"]);
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
        all.register("touches_oldest_seconds", "How long the oldest of them has waited", present.oldest_touch.clone());
        all.register(
            "live_sessions",
            "Sessions that live, counted at most every 10 seconds; NaN before the first count",
            present.live_sessions.clone(),
        );
    }
}

impl Metrics {
    /// A request was answered. `route` is the pattern of its address, such as `/api/sessions/{id}`.
    pub fn request(&self, method: &str, route: Option<String>, status: u16, took: Duration) {
        let method = known_method(method);
        let route = route.unwrap_or_else(|| NO_ROUTE.to_owned());
        let asked = Asked { method, route };
        self.0.request_seconds.get_or_create(&asked).observe(took.as_secs_f64());
        self.0.requests.get_or_create(&Answered { method, route: asked.route, status }).inc();
    }

    /// A session was looked up: `live`, `ended`, `unknown`, or `failed` when the database was away.
    pub fn session_load(&self, found: &'static str) {
        self.0.session_loads.get_or_create(&[("found", found)]).inc();
    }

    /// A touch was queued.
    pub fn touch_queued(&self) {
        self.0.touches_queued.inc();
    }

    /// Touches were written.
    pub fn touches_flushed(&self, count: usize) {
        self.0.touches_flushed.inc_by(count as u64);
    }

    /// A sweep came to its `end`, `done` or `failed`.
    pub fn sweep(&self, end: &'static str) {
        self.0.sweeps.get_or_create(&[("end", end)]).inc();
    }

    /// A sweep has `ended` or `deleted` this many sessions.
    pub fn swept(&self, what: &'static str, sessions: usize) {
        self.0.swept.get_or_create(&[("what", what)]).inc_by(sessions as u64);
    }

    /// A login came to this outcome, such as `welcome` or `refused`.
    pub fn login(&self, outcome: &'static str) {
        self.0.logins.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Readiness was really checked.
    pub fn readiness_check(&self) {
        self.0.readiness_checks.inc();
    }

    /// A unit of work waits for a connection until what this returns is dropped.
    pub fn database_wait(&self) -> DatabaseWait<'_> {
        self.0.database_waiting.inc();
        DatabaseWait { counts: &self.0, since: Stopwatch::now() }
    }

    /// How many units of work wait for a connection now.
    pub fn database_waiting(&self) -> i64 {
        self.0.database_waiting.get()
    }

    /// How many units of work had no connection in time.
    pub fn database_busy(&self) -> u64 {
        self.0.database_faults.get_or_create(&[("fault", fault_word(Away::Busy))]).get()
    }

    /// Runs a unit of work of this kind, `read`, `statement` or `transaction`, and times it.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn database_work<T>(&self, kind: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let since = Stopwatch::now();
        let result = work.await;
        match &result {
            Err(Error::Unavailable(fault)) => {
                self.0.database_faults.get_or_create(&[("fault", fault_word(fault.what))]).inc();
            }
            _ => {
                self.0.database_seconds.get_or_create(&[("kind", kind)]).observe(since.elapsed().as_secs_f64());
                let at = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.0.answered_at.fetch_max(at, Ordering::Relaxed);
            }
        }
        result
    }

    /// How long ago the database last answered; since the start, if it never did.
    pub fn since_answer(&self) -> Duration {
        self.0.started.elapsed().saturating_sub(Duration::from_millis(self.0.answered_at.load(Ordering::Relaxed)))
    }

    /// Everything in the text format of Prometheus, version 0.0.4.
    ///
    /// # Errors
    /// Never in practice: writing to a text does not fail.
    pub fn render(&self, present: &Present) -> Result<String> {
        let gauges = &self.0.present;
        gauges.pool_max.set(whole(present.pool.max));
        gauges.pool_open.set(whole(present.pool.open));
        gauges.pool_in_use.set(whole(present.pool.in_use));
        gauges.hashes_waiting.set(whole(present.hashes_waiting));
        gauges.touches_waiting.set(whole(present.touches_waiting));
        gauges.oldest_touch.set(present.oldest_touch.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 sessions")]
        gauges.live_sessions.set(present.live_sessions.map_or(f64::NAN, |count| count as f64));
        gauges.since_answer.set(self.since_answer().as_secs_f64());
        let mut out = String::new();
        text::encode_registry(&mut out, &self.0.registry).map_err(Error::bug)?;
        Ok(as_prometheus(&out))
    }
}

/// A wait for a connection; over when dropped, whatever came of it.
pub struct DatabaseWait<'a> {
    counts: &'a Counts,
    since: Stopwatch,
}

impl Drop for DatabaseWait<'_> {
    fn drop(&mut self) {
        self.counts.database_waiting.dec();
        self.counts.database_wait_seconds.observe(self.since.elapsed().as_secs_f64());
    }
}

/// The encoder speaks OpenMetrics, where a counter's family lacks the `_total` of its samples.
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

fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

fn fault_word(fault: Away) -> &'static str {
    match fault {
        Away::Database => "refused",
        Away::Connection => "connection",
        Away::Deadline => "deadline",
        Away::Busy => "busy",
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_make_labels() {
        let metrics = Metrics::default();
        for n in 0..100 {
            metrics.request(&format!("M{n}"), None, 404, Duration::ZERO);
        }
        let text = metrics.render(&Present::default()).unwrap();
        assert!(
            text.contains("sessile_requests_total{method=\"other\",route=\"none\",status=\"404\"} 100\n"),
            "{text}"
        );
        assert_eq!(text.matches("sessile_requests_total{").count(), 1);
    }

    #[test]
    fn counters_have_the_name_of_their_samples_and_nothing_of_openmetrics_is_left() {
        let metrics = Metrics::default();
        metrics.login("welcome");
        let text = metrics.render(&Present::default()).unwrap();
        assert!(text.contains("# TYPE sessile_logins_total counter\nsessile_logins_total{outcome=\"welcome\"} 1\n"));
        assert!(text.contains("# HELP sessile_logins_total "), "{text}");
        assert!(text.contains("sessile_live_sessions NaN\n"), "{text}");
        assert!(!text.contains("# EOF"), "{text}");
    }

    #[actix_web::test]
    async fn a_fault_is_no_answer_of_the_database() {
        let metrics = Metrics::default();
        let away = async { Err::<(), _>(Error::unavailable(Away::Busy, "test")) };
        assert!(metrics.database_work("read", away).await.is_err());
        assert_eq!(metrics.0.answered_at.load(Ordering::Relaxed), 0);
        assert_eq!(metrics.database_busy(), 1);
        let text = metrics.render(&Present::default()).unwrap();
        assert!(text.contains("sessile_database_faults_total{fault=\"busy\"} 1\n"), "{text}");
        assert!(!text.contains("sessile_database_seconds_count"), "{text}");
    }
}

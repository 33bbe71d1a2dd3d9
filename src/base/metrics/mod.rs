//! The metrics of this node, for `GET /metrics`. [`Db`](crate::base::db::Db) carries the handle, because all code that
//! records a metric also has the database. `ops` renders them.
//!
//! Invariant: no label holds text that a client chose. Routes are patterns; methods and outcomes are fixed words.

mod cache;
mod counts;
mod present;
mod route;

use std::sync::{Arc, atomic::Ordering};
use std::time::{Duration, Instant as Stopwatch};

use self::counts::{Counts, fault_word};
pub use self::{
    present::{CachePresent, Pool, Present},
    route::RouteMeter,
};
use crate::base::error::{Away, Error, Result};

/// The metrics. Cheap to clone; all clones share the same values.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Counts>);

impl Metrics {
    /// Records an answered request.
    pub fn request(&self, route: &RouteMeter, method: &str, status: u16, took: Duration) {
        route.record(&self.0, known_method(method), status, took);
    }

    /// Records a session lookup. `found` is `live`, `ended`, `former` (a key from before a rotation), `unknown`, or
    /// `failed` when the database was unavailable.
    pub fn session_load(&self, found: &'static str) {
        self.0.session_loads.get_or_create(&[("found", found)]).inc();
    }

    /// Records a lookup in the session cache.
    pub fn cache_use(&self, is_hit: bool) {
        if is_hit { &self.0.cache.hits } else { &self.0.cache.misses }.inc();
    }

    /// Records a session that was evicted from the cache to make room.
    pub fn cache_eviction(&self) {
        self.0.cache.evictions.inc();
    }

    /// Records how long a change waited for other nodes.
    pub fn change_waited(&self, time: Duration) {
        self.0.cache.wait_seconds.observe(time.as_secs_f64());
    }

    pub fn touch_queued(&self) {
        self.0.touches_queued.inc();
    }

    pub fn touches_flushed(&self, count: usize) {
        self.0.touches_flushed.inc_by(count as u64);
    }

    /// Records a finished sweep. `end` is `done` or `failed`.
    pub fn sweep(&self, end: &'static str) {
        self.0.sweeps.get_or_create(&[("end", end)]).inc();
    }

    /// Records how many sessions a sweep changed. `what` is `ended` or `deleted`.
    pub fn swept(&self, what: &'static str, sessions: usize) {
        self.0.swept.get_or_create(&[("what", what)]).inc_by(sessions as u64);
    }

    /// Records a login. `outcome` is `welcome`, `refused`, `throttled` or `failed`.
    pub fn login(&self, outcome: &'static str) {
        self.0.logins.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Records a second factor that was given. `method` is `totp`, `recovery` or `passkey`, or `refused` for a wrong one.
    pub fn second_factor(&self, method: &'static str) {
        self.0.second_factors.get_or_create(&[("method", method)]).inc();
    }

    /// Records an attempt to send a mail. `outcome` is `sent`, `deferred` or `refused`.
    pub fn mail(&self, outcome: &'static str) {
        self.0.mails.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Records a password that was not hashed because too many were waiting.
    pub fn hash_refused(&self) {
        self.0.hashes_refused.inc();
    }

    /// Records the time between the end of a session and this node reading it.
    pub fn news(&self, after: Duration) {
        self.0.news_seconds.observe(after.as_secs_f64());
    }

    /// Records that a stream to an app's server was opened.
    pub fn app_stream_opened(&self) {
        self.0.app_streams.inc();
    }

    pub fn app_stream_closed(&self) {
        self.0.app_streams.dec();
    }

    /// Records a readiness check that was carried out, not answered from the last result.
    pub fn readiness_check(&self) {
        self.0.readiness_checks.inc();
    }

    /// Records a wait for a connection. The wait ends when the returned guard is dropped.
    pub fn database_wait(&self) -> DatabaseWait<'_> {
        self.0.database_waiting.inc();
        DatabaseWait { counts: &self.0, since: Stopwatch::now() }
    }

    /// Number of units of work that are waiting for a connection.
    pub fn database_waiting(&self) -> i64 {
        self.0.database_waiting.get()
    }

    /// Number of units of work that did not get a connection in time.
    pub fn database_busy(&self) -> u64 {
        self.0.database_faults.get_or_create(&[("fault", fault_word(Away::Busy))]).get()
    }

    /// Runs a unit of work and times it. `kind` is `read`, `statement`, `transaction` or `beat`.
    ///
    /// # Errors
    /// The error of the work itself.
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

    /// Time since the database last answered, or since the start if it never did.
    pub fn since_answer(&self) -> Duration {
        self.0.started.elapsed().saturating_sub(Duration::from_millis(self.0.answered_at.load(Ordering::Relaxed)))
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    pub fn render(&self, present: &Present) -> Result<String> {
        self.0.render(present, self.since_answer())
    }
}

/// A wait for a connection. Dropping it ends the wait and records its length.
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

fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_make_labels() {
        let metrics = Metrics::default();
        let route = RouteMeter::of(None);
        for n in 0..100 {
            metrics.request(&route, &format!("M{n}"), 404, Duration::ZERO);
        }
        let text = metrics.render(&Present::default()).unwrap();
        assert!(
            text.contains("sessile_requests_total{method=\"other\",route=\"none\",status=\"404\"} 100\n"),
            "{text}"
        );
        assert_eq!(text.matches("sessile_requests_total{").count(), 1);
    }

    #[test]
    fn counters_are_written_in_the_prometheus_format() {
        let metrics = Metrics::default();
        metrics.login("welcome");
        let text = metrics.render(&Present::default()).unwrap();
        assert!(text.contains("# TYPE sessile_logins_total counter\nsessile_logins_total{"), "{text}");
        assert!(text.contains("sessile_logins_total{outcome=\"welcome\"} 1\n"), "{text}");
        assert!(text.contains("# HELP sessile_logins_total "), "{text}");
        assert!(text.contains("sessile_live_sessions NaN\n"), "{text}");
        assert!(!text.contains("# EOF"), "{text}");
    }

    #[actix_web::test]
    async fn a_fault_does_not_count_as_an_answer_of_the_database() {
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

//! Requests that a proxy passed on with another `Host` than the browser sent. They are counted for metrics and logged
//! at most once a minute. Their hosts are remembered, so that later requests through the same proxy are recognized.
//! Called by `opened`.
//!
//! Invariant: only a few hosts are remembered, however many a client invents.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use crate::base::text::quoted;

/// The time between two log lines about the same fault.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// The most hosts that are remembered.
const MOST_HOSTS: usize = 8;
/// A DNS name has at most 253 characters, and a port with its colon has six.
const LONGEST_HOST: usize = 260;

#[derive(Debug, Default)]
pub struct WrongHosts {
    count: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    seen: Option<Stopwatch>,
    logged: Option<Stopwatch>,
    /// The hosts that proxies passed on, newest last. A later request with one of these hosts, and without other signs
    /// of a proxy, came through the same proxy.
    hosts: VecDeque<String>,
}

impl WrongHosts {
    pub fn note(&self, host: &str, public_origin: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let now = Stopwatch::now();
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.seen = Some(now);
            last.remember(host);
            if last.logged.is_some_and(|logged| now.duration_since(logged) < LOG_INTERVAL) {
                return;
            }
            last.logged = Some(now);
        }
        tracing::warn!(
            host = quoted(host),
            public = public_origin,
            "a proxy replaces the browser's Host header, so a page opened at a wrong address cannot be recognized: let the \
             proxy pass Host on (nginx: proxy_set_header Host $http_host;), or correct SESSILE_PUBLIC_URL"
        );
    }

    pub fn is_known(&self, host: &str) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    /// The number since the start, and the time since the last one.
    pub fn seen(&self) -> (u64, Option<Duration>) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (self.count.load(Ordering::Relaxed), last.seen.map(|seen| seen.elapsed()))
    }
}

impl Last {
    fn remember(&mut self, host: &str) {
        if host.len() > LONGEST_HOST || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return;
        }
        if self.hosts.len() == MOST_HOSTS {
            self.hosts.pop_front();
        }
        self.hosts.push_back(host.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_few_hosts_are_remembered() {
        let hosts = WrongHosts::default();
        for n in 0..100 {
            hosts.note(&format!("h{n}"), "http://shop.lan");
        }
        assert!(hosts.is_known("H99") && !hosts.is_known("h0"));
        assert_eq!(hosts.last.lock().unwrap().hosts.len(), MOST_HOSTS);
        assert_eq!(hosts.seen().0, 100);
    }
}

//! The metrics of one route. Looking a metric up by its labels takes longer than counting, so a route keeps the metrics
//! that it has looked up. Each route of the table has one meter; the outermost layer counts with it.
//!
//! Invariant: a meter is used with one [`Metrics`](super::Metrics) only.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use super::counts::{Answered, Asked, Counts};

/// The route label of an address that no route matches.
const NO_ROUTE: &str = "none";

/// The metrics of a route.
#[derive(Debug)]
pub struct RouteMeter {
    route: &'static str,
    found: Mutex<Vec<Found>>,
}

/// The metrics of one method and status. There are few of them for each route.
#[derive(Debug)]
struct Found {
    method: &'static str,
    status: u16,
    requests: Counter,
    seconds: Histogram,
}

impl RouteMeter {
    /// `route` is a pattern such as `/api/sessions/{id}`; `None` for addresses that no route matches.
    pub fn of(route: Option<&'static str>) -> Self {
        Self { route: route.unwrap_or(NO_ROUTE), found: Mutex::default() }
    }

    pub(super) fn record(&self, counts: &Counts, method: &'static str, status: u16, took: Duration) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |one: &Found| one.status == status && one.method == method;
        let at = found.iter().position(is_known).unwrap_or_else(|| {
            found.push(self.find(counts, method, status));
            found.len() - 1
        });
        if let Some(found) = found.get(at) {
            found.seconds.observe(took.as_secs_f64());
            found.requests.inc();
        }
    }

    fn find(&self, counts: &Counts, method: &'static str, status: u16) -> Found {
        let asked = Asked { method, route: self.route };
        let answered = Answered { method, route: self.route, status };
        let requests = counts.requests.get_or_create(&answered).clone();
        Found { method, status, requests, seconds: counts.request_seconds.get_or_create(&asked).clone() }
    }
}

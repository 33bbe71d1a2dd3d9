//! Checks whether this node can do its work, by doing it. Called by `readyz`. `serve` turns readiness off as the first
//! step of a shutdown.
//!
//! Invariant: two checks begin at least a second apart, however many clients ask and whether or not they wait for the
//! answer. A check ends within the time limit of a request.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::{Duration, Instant as Stopwatch};

use actix_web::{rt, web::Data};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::{
    base::{
        db::{Conn, Db},
        error::{Away, Error, Result},
    },
    records::session::Sessions,
    web::site::Site,
};

/// The shortest time between the beginnings of two checks.
const INTERVAL: Duration = Duration::from_secs(1);
/// The age at which a waiting touch is late. Touches are flushed every half second.
const LATE: Duration = Duration::from_secs(5);

/// The status of a component or of the whole node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Degraded,
    Down,
}

/// The result of a check for one component.
#[derive(Debug, Clone)]
struct Component {
    status: Status,
    figures: Map<String, Value>,
}

/// The result of a check.
#[derive(Debug, Clone)]
pub struct Report {
    status: Status,
    components: [(&'static str, Component); 5],
}

impl Report {
    /// Whether this node should receive requests.
    pub fn is_ready(&self) -> bool {
        self.status != Status::Down
    }

    /// The answer as JSON, described in docs/operating.md. Only clients that may read metrics get the figures.
    pub fn render(&self, with_figures: bool) -> Value {
        let components = self.components.iter().map(|(name, component)| {
            let mut shown = if with_figures { component.figures.clone() } else { Map::new() };
            shown.insert("status".to_owned(), json!(component.status));
            ((*name).to_owned(), Value::Object(shown))
        });
        json!({"status": self.status, "components": components.collect::<Map<_, _>>()})
    }
}

/// Checks the files of the installed app. Returns their number, or the problem.
type CheckApp = Box<dyn Fn() -> std::result::Result<usize, String> + Send + Sync>;

/// Runs the checks and stores the latest one. Shared by all workers.
pub struct Readiness {
    sessions: Sessions,
    site: Data<Site>,
    limit: Duration,
    check_app: CheckApp,
    stopping: AtomicBool,
    busy_before: AtomicU64,
    latest: Mutex<Option<Check>>,
}

/// A check that has begun, and the receiver of its report.
struct Check {
    begun: Stopwatch,
    report: ReportReceiver,
}

type ReportReceiver = watch::Receiver<Option<Arc<Report>>>;

impl Readiness {
    /// Creates the checks. No part of a check takes longer than `limit`.
    pub fn new(sessions: Sessions, site: Data<Site>, limit: Duration, check_app: CheckApp) -> Self {
        Self {
            sessions,
            site,
            limit,
            check_app,
            stopping: AtomicBool::new(false),
            busy_before: AtomicU64::new(0),
            latest: Mutex::default(),
        }
    }

    /// Marks this node as not ready from now on, because it is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// The report of the latest check. Starts a new check if one is due, and waits for the report.
    pub async fn report(this: &Data<Self>) -> Report {
        let mut latest = Self::latest(this);
        let found = latest.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        let mut report = found.map_or_else(aborted, |found| (*found).clone());
        if this.stopping.load(Ordering::Acquire) {
            report.status = Status::Down;
        }
        report
    }

    fn latest(this: &Data<Self>) -> ReportReceiver {
        let mut latest = this.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(check) = &*latest {
            let ended = check.report.borrow().is_some();
            let broken = !ended && check.report.has_changed().is_err();
            if check.begun.elapsed() < INTERVAL || !(ended || broken) {
                return check.report.clone();
            }
        }
        let (sender, report) = watch::channel(None);
        let before = latest.replace(Check { begun: Stopwatch::now(), report: report.clone() });
        let before = before.and_then(|check| check.report.borrow().as_ref().map(|report| report.status));
        let checking = Data::clone(this);
        // Check in a separate task, so that a caller who disconnects does not cancel it for the next caller.
        rt::spawn(async move {
            let report = checking.check().await;
            log_status_change(before, &report);
            sender.send_replace(Some(Arc::new(report)));
        });
        report
    }

    async fn check(&self) -> Report {
        let sessions = &self.sessions;
        sessions.db.metrics().readiness_check();
        let (mut store, rotation, touch, pool) = tokio::join!(
            self.part(sessions.try_load()),
            self.part(sessions.try_rotation()),
            self.part(sessions.try_touch()),
            self.part(ask(&sessions.db)),
        );
        if !self.site.is_ready() {
            store.status = Status::Down;
        }
        let components = [
            ("sessionStore", store),
            ("sessionRegeneration", rotation),
            ("touch", self.with_queue(touch)),
            ("pwa", app_files(&self.check_app)),
            ("databasePool", self.with_pool(pool)),
        ];
        let status = components.iter().map(|(_, component)| component.status).max().unwrap_or(Status::Down);
        Report { status, components }
    }

    /// Runs one part of a check within the limit.
    async fn part(&self, work: impl Future<Output = Result<()>>) -> Component {
        let begun = Stopwatch::now();
        let late = || Error::unavailable(Away::Deadline, "the check exceeded the time limit of a request");
        let result = rt::time::timeout(self.limit, work).await.unwrap_or_else(|_| Err(late()));
        let mut figures = Map::from_iter([("ms".to_owned(), json!(begun.elapsed().as_secs_f64() * 1000.0))]);
        match result {
            Ok(()) => Component { status: Status::Ok, figures },
            Err(error) => {
                figures.insert("error".to_owned(), json!(error.to_string()));
                Component { status: Status::Down, figures }
            }
        }
    }

    fn with_queue(&self, mut touch: Component) -> Component {
        let (waiting, oldest) = (self.sessions.touches.len(), self.sessions.touches.oldest());
        if oldest > LATE {
            touch.status = touch.status.max(Status::Degraded);
        }
        touch.figures.insert("waiting".to_owned(), json!(waiting));
        touch.figures.insert("oldestMs".to_owned(), json!(oldest.as_secs_f64() * 1000.0));
        touch
    }

    /// Marks the pool as degraded while work waits and no connection is free, or if a wait has timed out since the last
    /// check.
    fn with_pool(&self, mut pool: Component) -> Component {
        let (now, metrics) = (self.sessions.db.pool(), self.sessions.db.metrics());
        let (waiting, busy) = (metrics.database_waiting(), metrics.database_busy());
        let busy_before = self.busy_before.swap(busy, Ordering::Relaxed);
        if busy > busy_before || (waiting > 0 && now.in_use >= now.max) {
            pool.status = pool.status.max(Status::Degraded);
        }
        let since = metrics.since_answer().as_secs_f64() * 1000.0;
        let figures = json!({
            "max": now.max, "open": now.open, "inUse": now.in_use, "waiting": waiting,
            "waitedInVain": busy, "sinceAnswerMs": since,
        });
        if let Value::Object(figures) = figures {
            pool.figures.extend(figures);
        }
        pool
    }
}

/// Takes a connection from the pool and runs a query on it.
async fn ask(db: &Db) -> Result<()> {
    db.read(async |conn: &mut Conn<'_>| conn.answers().await).await
}

/// The status of the installed app's files. The pages still work without them.
fn app_files(check_app: &CheckApp) -> Component {
    match check_app() {
        Ok(files) => Component { status: Status::Ok, figures: Map::from_iter([("files".to_owned(), json!(files))]) },
        Err(error) => {
            Component { status: Status::Degraded, figures: Map::from_iter([("error".to_owned(), json!(error))]) }
        }
    }
}

/// The report when the worker that ran the check is gone. This node is stopping.
fn aborted() -> Report {
    let down = || Component { status: Status::Down, figures: Map::new() };
    let names = ["sessionStore", "sessionRegeneration", "touch", "pwa", "databasePool"];
    Report { status: Status::Down, components: names.map(|name| (name, down())) }
}

fn log_status_change(before: Option<Status>, report: &Report) {
    if before == Some(report.status) || (before.is_none() && report.status == Status::Ok) {
        return;
    }
    if report.status == Status::Ok {
        tracing::info!("ready again");
        return;
    }
    let bad = report.components.iter().filter(|(_, component)| component.status != Status::Ok);
    for (component, Component { status, figures }) in bad {
        let error = figures.get("error").and_then(Value::as_str);
        tracing::warn!(component, ?status, error, "component is not ready");
    }
}

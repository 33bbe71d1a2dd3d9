//! Whether this node can do its work, found out by doing it. `readyz` answers with it; `serve` turns it off first of all
//! when it is asked to stop.
//!
//! Invariant: however many ask, and whether or not they wait for the answer, two checks begin at least a second apart,
//! and one ends within the time that a request may take.

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

/// Two checks begin at least this far apart.
const INTERVAL: Duration = Duration::from_secs(1);
/// Touches that have waited this long are late: they are due every half second.
const LATE: Duration = Duration::from_secs(5);

/// How well something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Degraded,
    Down,
}

/// What a check found of one component.
#[derive(Debug, Clone)]
struct Component {
    status: Status,
    figures: Map<String, Value>,
}

/// What a check found.
#[derive(Debug, Clone)]
pub struct Report {
    status: Status,
    components: [(&'static str, Component); 5],
}

impl Report {
    /// Whether requests should come here.
    pub fn is_ready(&self) -> bool {
        self.status != Status::Down
    }

    /// As the contract has it; the figures only for who may read metrics.
    pub fn render(&self, with_figures: bool) -> Value {
        let components = self.components.iter().map(|(name, component)| {
            let mut shown = if with_figures { component.figures.clone() } else { Map::new() };
            shown.insert("status".to_owned(), json!(component.status));
            ((*name).to_owned(), Value::Object(shown))
        });
        json!({"status": self.status, "components": components.collect::<Map<_, _>>()})
    }
}

/// Checks the files of the installed app: how many there are, or what is wrong.
type CheckApp = fn() -> std::result::Result<usize, String>;

/// The check, and its last result. All workers share it.
pub struct Readiness {
    sessions: Sessions,
    site: Data<Site>,
    limit: Duration,
    check_app: CheckApp,
    stopping: AtomicBool,
    busy_before: AtomicU64,
    latest: Mutex<Option<Check>>,
}

/// A check that has begun, and what comes of it.
struct Check {
    begun: Stopwatch,
    report: ReportReceiver,
}

type ReportReceiver = watch::Receiver<Option<Arc<Report>>>;

impl Readiness {
    /// No part of a check takes longer than `limit`.
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

    /// From now on this node is not ready, whatever works: it is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// What the latest check found, or the one that is due now.
    pub async fn report(this: &Data<Self>) -> Report {
        let mut latest = Self::latest(this);
        let found = latest.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        let mut report = found.map_or_else(broken_off, |found| (*found).clone());
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
        let (tell, report) = watch::channel(None);
        let before = latest.replace(Check { begun: Stopwatch::now(), report: report.clone() });
        let before = before.and_then(|check| check.report.borrow().as_ref().map(|report| report.status));
        let checking = Data::clone(this);
        // On its own, so that a caller who goes away does not make the next one begin again.
        rt::spawn(async move {
            let report = checking.check().await;
            log_a_change(before, &report);
            tell.send_replace(Some(Arc::new(report)));
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
            ("pwa", app_files(self.check_app)),
            ("databasePool", self.with_pool(pool)),
        ];
        let status = components.iter().map(|(_, component)| component.status).max().unwrap_or(Status::Down);
        Report { status, components }
    }

    /// One part, done within the limit.
    async fn part(&self, work: impl Future<Output = Result<()>>) -> Component {
        let begun = Stopwatch::now();
        let late = || Error::unavailable(Away::Deadline, "it took longer than a request may");
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

    /// Degraded while units of work wait for a connection that none is free for, or waited in vain since the last check.
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

/// A connection from the pool, and an answer on it.
async fn ask(db: &Db) -> Result<()> {
    db.read(async |conn: &mut Conn<'_>| conn.answers().await).await
}

/// The files of the installed app. Without them the pages still work.
fn app_files(check_app: CheckApp) -> Component {
    match check_app() {
        Ok(files) => Component { status: Status::Ok, figures: Map::from_iter([("files".to_owned(), json!(files))]) },
        Err(error) => {
            Component { status: Status::Degraded, figures: Map::from_iter([("error".to_owned(), json!(error))]) }
        }
    }
}

/// When the worker that checked is gone: this node stops.
fn broken_off() -> Report {
    let down = || Component { status: Status::Down, figures: Map::new() };
    let names = ["sessionStore", "sessionRegeneration", "touch", "pwa", "databasePool"];
    Report { status: Status::Down, components: names.map(|name| (name, down())) }
}

fn log_a_change(before: Option<Status>, report: &Report) {
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

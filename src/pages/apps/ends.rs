//! `/api/apps/{id}/ends`: tells an app's server which sessions that opened the app have ended, by server-sent events
//! (HTML, 9.2). Called by the routes.
//!
//! The ends are read from the sessions' rows, by the time of the end. A transaction may commit an end a while after that
//! time, so each read goes back by [`OVERLAP`], and the stream remembers what it has sent since then. For the same reason a
//! resumed stream repeats the last ends: each is sent at least once.
//!
//! Invariant: the id of an event is a time from which a later stream can resume without loss. It advances only after a
//! read that succeeded.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{self, HeaderName},
    },
    web::{self, Bytes},
};
use futures_util::stream;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant as Stopwatch, timeout_at},
};

use super::{
    feeds::{Feed, Feeds},
    server::AppServer,
};
use crate::{
    base::{
        db::{Conn, Instant},
        error::Result,
    },
    records::{
        app::{App, Apps},
        hub::{Ends, Hub},
        session::{
            Sessions,
            grants::feed::{self, EndedAtApp},
        },
    },
};

/// How long after its time an end may be committed. Transactions have deadlines far below.
const OVERLAP: Duration = Duration::from_secs(30);
/// How far back a stream can be resumed.
const RESUMABLE: Duration = Duration::from_secs(24 * 3600);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The shortest time between two reads.
const READ_INTERVAL: Duration = Duration::from_millis(200);
/// How long to wait before a failed read is retried.
const RETRY: Duration = Duration::from_secs(1);
/// The most ends in one read.
const PORTION: i64 = 500;

/// `GET /api/apps/{id}/ends`
///
/// # Errors
/// [`TooFast`](crate::base::error::Error::TooFast) if the app has too many streams.
pub async fn stream(
    req: HttpRequest,
    server: AppServer,
    (sessions, apps): (web::Data<Sessions>, web::Data<Apps>),
    (hub, feeds): (web::Data<Hub>, web::Data<Feeds>),
) -> Result<HttpResponse> {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"));
    if req.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let counted = feeds.open(&server.0.id)?;
    let now = sessions.clock.now();
    let resumed = last_id(&req).filter(|at| now.since(*at) <= RESUMABLE && at.since(now) <= RETRY);
    let open = Open {
        _counted: counted,
        ends: hub.ends(),
        reached: resumed.unwrap_or(now),
        to_reset: resumed.is_none(),
        sessions,
        apps,
        app: server.0,
        sent: BTreeSet::new(),
        next_read: Stopwatch::now(),
        next_beat: Stopwatch::now() + HEARTBEAT,
        is_due: true,
    };
    Ok(answer.streaming(stream::unfold(open, Open::next)))
}

fn last_id(req: &HttpRequest) -> Option<Instant> {
    let id: i64 = req.headers().get("last-event-id")?.to_str().ok()?.trim().parse().ok()?;
    Some(Instant::from_micros(id))
}

/// An open stream.
struct Open {
    _counted: Feed,
    ends: watch::Receiver<Ends>,
    sessions: web::Data<Sessions>,
    apps: web::Data<Apps>,
    app: Arc<App>,
    /// The time up to which everything that had been committed was sent.
    reached: Instant,
    /// Whether the client must be told that it may have missed ends.
    to_reset: bool,
    /// What was sent, as far back as reads go.
    sent: BTreeSet<(Instant, String)>,
    next_read: Stopwatch,
    next_beat: Stopwatch,
    is_due: bool,
}

impl Open {
    /// The next chunk of the stream, and the state after it.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if self.ends.borrow_and_update().closed || !self.is_allowed().await {
                return None;
            }
            if let Some(text) = self.text().await {
                return Some((Ok(Bytes::from(text)), self));
            }
            let wake_at = if self.is_due { self.next_read } else { self.next_beat };
            match timeout_at(wake_at, self.ends.changed()).await {
                Ok(Ok(())) => self.is_due = true,
                // The hub is gone.
                Ok(Err(_)) => return None,
                Err(_) => {}
            }
        }
    }

    /// What there is to send now.
    async fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        let now = Stopwatch::now();
        let beats = now >= self.next_beat;
        if (self.is_due || beats) && now >= self.next_read {
            match self.read().await {
                Ok(ended) => {
                    self.is_due = false;
                    self.next_read = Stopwatch::now() + READ_INTERVAL;
                    // What had ended before a new stream was opened is not told: the client asks what lives.
                    match std::mem::take(&mut self.to_reset) {
                        true => text += &reset(self.reached),
                        false => text.extend(ended.iter().map(event)),
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, app = self.app.id, "reading the ends for an app failed");
                    self.is_due = true;
                    self.next_read = Stopwatch::now() + RETRY;
                }
            }
        }
        if beats {
            self.next_beat = Stopwatch::now() + HEARTBEAT;
            text += &format!(":\nid: {}\n\n", self.reached.micros());
        }
        (!text.is_empty()).then_some(text)
    }

    /// The ends that were not sent yet.
    async fn read(&mut self) -> Result<Vec<EndedAtApp>> {
        let now = self.sessions.clock.now();
        let since = self.reached.minus(OVERLAP);
        let mut found = Vec::new();
        loop {
            let (app_id, skip) = (self.app.id.clone(), i64::try_from(found.len()).unwrap_or(i64::MAX));
            let reading = async move |conn: &mut Conn<'_>| feed::ended(conn, &app_id, since, (skip, PORTION)).await;
            let portion = self.sessions.db.read(reading).await?;
            let is_last = portion.len() < usize::try_from(PORTION).unwrap_or(usize::MAX);
            found.extend(portion);
            if is_last {
                break;
            }
        }
        self.sent = self.sent.split_off(&(since, String::new()));
        found.retain(|ended| self.sent.insert((ended.at, ended.sid.clone())));
        self.reached = self.reached.max(now);
        Ok(found)
    }

    /// Whether the app still has the secret that opened the stream. An unavailable database does not end the stream.
    async fn is_allowed(&self) -> bool {
        match self.apps.all().await {
            Ok(registry) => registry.by_id(&self.app.id).is_some_and(|app| app.secret_hash == self.app.secret_hash),
            Err(_) => true,
        }
    }
}

fn reset(reached: Instant) -> String {
    format!("retry: 2000\n\nid: {}\nevent: reset\ndata: {{}}\n\n", reached.micros())
}

fn event(ended: &EndedAtApp) -> String {
    let EndedAtApp { at, sid, account_id, reason } = ended;
    let data = json!({"sid": sid, "sub": account_id, "reason": reason.shown().as_str(), "at": at});
    format!("id: {}\nevent: ended\ndata: {data}\n\n", at.micros())
}

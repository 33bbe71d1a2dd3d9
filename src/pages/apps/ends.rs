//! `/api/apps/{id}/ends`: tells an app's server which sessions that opened the app have ended, by server-sent events
//! (HTML, 9.2). Called by the routes.
//!
//! A resumed stream first reads from the database what ended since its id, in portions. Then it follows the `tail` that
//! all streams of the app share. An end may be committed a while after its time, so a resumed stream repeats the last
//! ends: each is sent at least once.
//!
//! Invariant: the id of an event is a time from which a later stream can resume without loss. It advances only after a
//! read that succeeded.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::Method,
    web::{self, Bytes},
};
use futures_util::stream;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant as Stopwatch, timeout_at},
};

use super::{
    feeds::{Feed, Feeds, RESUMABLE},
    server::AppServer,
    tail::{self, News, Position},
};
use crate::{
    base::{db::Instant, error::Result},
    records::{
        app::{App, Apps},
        hub::{Ends, Hub},
        session::{
            Sessions,
            grants::feed::{EndedAtApp, Place},
        },
    },
    web::headers::event_stream,
};

const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long to wait before a failed read is retried.
const RETRY: Duration = Duration::from_secs(1);

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
    let mut answer = event_stream();
    if req.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let feed = feeds.open(&server.0.id)?;
    let now = sessions.clock.now();
    let resumed = last_id(&req).filter(|at| now.since(*at) <= RESUMABLE && at.since(now) <= RETRY);
    let open = Open {
        feed,
        overlap: feeds.overlap(),
        ends: hub.ends(),
        stage: resumed.map_or(Stage::New, |id| Stage::resuming(id, feeds.overlap())),
        sessions,
        apps,
        app: server.0,
        due: Some(Stopwatch::now()),
        next_try: Stopwatch::now(),
        next_beat: Stopwatch::now() + HEARTBEAT,
    };
    Ok(answer.streaming(stream::unfold(open, Open::next)))
}

fn last_id(req: &HttpRequest) -> Option<Instant> {
    let id: i64 = req.headers().get("last-event-id")?.to_str().ok()?.trim().parse().ok()?;
    Some(Instant::from_micros(id))
}

/// An open stream.
struct Open {
    feed: Feed,
    overlap: Duration,
    ends: watch::Receiver<Ends>,
    sessions: web::Data<Sessions>,
    apps: web::Data<Apps>,
    app: Arc<App>,
    stage: Stage,
    /// When something may have ended that was not sent yet.
    due: Option<Stopwatch>,
    next_try: Stopwatch,
    next_beat: Stopwatch,
}

#[derive(Debug, Clone)]
enum Stage {
    /// The client must be told that it may have missed ends.
    New,
    /// What ended since `id` is read from the database. `after` is the place that was reached, and `until` the place in
    /// the tail at which the stream goes on.
    Resuming { id: Instant, after: Place, until: Option<Position> },
    /// Everything in the tail before this place was sent.
    Following(Position),
}

impl Stage {
    fn resuming(id: Instant, overlap: Duration) -> Self {
        Self::Resuming { id, after: (id.minus(overlap), String::new(), String::new()), until: None }
    }

    /// The time from which a later stream can resume; `None` before the client was told that it may have missed ends.
    fn id(&self) -> Option<Instant> {
        match self {
            Self::New => None,
            Self::Resuming { id, .. } => Some(*id),
            Self::Following(place) => Some(place.reached),
        }
    }
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
            let wake_at = if self.due.is_some() { self.next_try.min(self.next_beat) } else { self.next_beat };
            match timeout_at(wake_at, self.ends.changed()).await {
                Ok(Ok(())) => self.due = Some(Stopwatch::now()),
                // The hub is gone.
                Ok(Err(_)) => return None,
                Err(_) => {}
            }
        }
    }

    /// What there is to send now.
    async fn text(&mut self) -> Option<String> {
        let now = Stopwatch::now();
        let beats = now >= self.next_beat;
        if beats {
            (self.due, self.next_beat) = (Some(now), now + HEARTBEAT);
        }
        let mut text = match self.due {
            Some(due) if now >= self.next_try => self.news(due).await,
            _ => String::new(),
        };
        if beats {
            let id = self.stage.id().map(|id| format!("id: {}\n", id.micros()));
            text += &format!(":\n{}\n", id.unwrap_or_default());
        }
        (!text.is_empty()).then_some(text)
    }

    /// What has happened, from the tail or from the database.
    async fn news(&mut self, due: Stopwatch) -> String {
        if let Stage::Resuming { id, after, until: Some(until) } = self.stage.clone() {
            return self.resume(id, after, until).await;
        }
        let shared = self.feed.tail.clone();
        let mut tail = shared.lock().await;
        if !tail.is_read_since(due, &self.sessions, &self.app.id).await {
            self.next_try = tail.next_read();
            return String::new();
        }
        let end = tail.end();
        let news = match &mut self.stage {
            Stage::New => News::Reset,
            Stage::Following(place) => tail.after(*place),
            Stage::Resuming { id, after, until } => {
                // Still due: the next chunk is read from the database.
                *until = Some(end);
                let (id, after) = (*id, after.clone());
                drop(tail);
                return self.resume(id, after, end).await;
            }
        };
        drop(tail);
        match news {
            News::Ended(ends) => {
                (self.stage, self.due) = (Stage::Following(end), None);
                ends.iter().map(event).collect()
            }
            News::Reset => {
                (self.stage, self.due) = (Stage::Following(end), None);
                reset(end.reached)
            }
            News::TooFarBehind => {
                self.stage = Stage::resuming(self.stage.id().unwrap_or(end.reached), self.overlap);
                String::new()
            }
        }
    }

    /// The next portion of what ended before the place in the tail at which the stream goes on.
    async fn resume(&mut self, id: Instant, after: Place, until: Position) -> String {
        let portion = match tail::portion(&self.sessions, &self.app.id, after.clone()).await {
            Ok(portion) => portion,
            Err(error) => {
                tracing::debug!(%error, app = self.app.id, "resuming a stream for an app failed");
                self.next_try = Stopwatch::now() + RETRY;
                return String::new();
            }
        };
        let after = portion.ends.last().map_or(after, EndedAtApp::place);
        self.stage = match portion.is_last {
            true => Stage::Following(until),
            false => Stage::Resuming { id: id.max(after.0.min(until.reached)), after, until: Some(until) },
        };
        portion.ends.iter().map(event).collect()
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

//! `GET /api/events`: notifies open pages through one stream of server-sent events (HTML, 9.2) per browser. The script
//! is `static/js/live.js`. Called by the routes.
//!
//! Invariant: a stream never counts as activity. It closes when the news that its session ended arrives, once
//! no node answers with the session any more.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse,
    http::Method,
    web::{self, Bytes},
};
use futures_util::stream;
use serde_json::json;
use tokio::time::{Instant as Stopwatch, timeout_at};

use crate::{
    base::{
        db::Instant,
        error::{Error, Result},
    },
    records::{
        hub::{Hub, Listener, Notices, Subscription},
        session::{SessionRef, Sessions, current::Facts, ended::Ended, listing::Standing},
    },
    web::{
        headers::event_stream,
        proxies::{Client, network},
    },
};

/// How often an idle stream sends a comment, so that neither a proxy nor the page considers it dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The shortest time between two change events.
const CHANGE_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before retrying a failed session lookup.
const RETRY: Duration = Duration::from_secs(1);
/// The reconnect delay of a browser that reads the stream without our script.
const HELLO: &str = "retry: 3000\n\n";
const BEAT: &str = ":\n\n";
const ROTATED: &str = "event: sessions-changed\ndata: {\"rotated\":true}\n\n";

/// `GET /api/events`
///
/// # Errors
/// [`Error::Unavailable`] while this node shuts down or has too many open streams.
pub async fn events(
    req: HttpRequest,
    facts: Facts,
    hub: web::Data<Hub>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse> {
    let loaded = facts.admitted(&sessions)?;
    let mut answer = event_stream();
    if req.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let network = req.extensions().get::<Client>().map(|client| network(client.ip));
    let listener = Listener { session: loaded.record.id.clone(), account: loaded.account.id.clone(), network };
    let news = hub.subscribe(listener)?;
    let session = SessionRef::new(&loaded.account.id, &loaded.record.id);
    let open = Open::new(news, &hub, session, loaded.record.expires_at);
    Ok(answer.streaming(stream::unfold(open, Open::next)))
}

/// An open stream.
struct Open {
    news: Subscription,
    hub: Hub,
    session: SessionRef,
    expires_at: Instant,
    pending: Notices,
    stage: Stage,
    next_beat: Stopwatch,
    next_change: Stopwatch,
    next_look: Stopwatch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Running,
    Finished,
}

impl Open {
    fn new(news: Subscription, hub: &Hub, session: SessionRef, expires_at: Instant) -> Self {
        let now = Stopwatch::now();
        Self {
            news,
            hub: hub.clone(),
            session,
            expires_at,
            pending: Notices::default(),
            stage: Stage::Start,
            next_beat: now + HEARTBEAT,
            next_change: now,
            next_look: now,
        }
    }

    /// The next chunk of the stream, and the state after it.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let text = match self.stage {
            Stage::Finished => return None,
            Stage::Start => {
                self.stage = Stage::Running;
                HELLO.to_owned()
            }
            Stage::Running => self.text().await?,
        };
        Some((Ok(Bytes::from(text)), self))
    }

    /// Waits for the next text to send. Returns `None` when the stream closes without a last event.
    async fn text(&mut self) -> Option<String> {
        loop {
            if let Ok(news) = timeout_at(self.wake_at(), self.news.next()).await {
                self.pending.fold(news);
            }
            self.look_up().await;
            if let Some(ended) = self.pending.ended {
                self.hub.settle_end().await;
                self.stage = Stage::Finished;
                return Some(ended_event(ended));
            }
            if self.pending.rotated {
                self.stage = Stage::Finished;
                return Some(ROTATED.to_owned());
            }
            if self.pending.close {
                return None;
            }
            if let Some(text) = self.changes().or_else(|| self.beat()) {
                return Some(text);
            }
        }
    }

    /// The next time at which to act even without news.
    fn wake_at(&self) -> Stopwatch {
        let mut at = self.next_beat;
        if self.pending.sessions || self.pending.drafts {
            at = at.min(self.next_change);
        }
        if self.pending.look {
            at = at.min(self.next_look);
        }
        let left = self.expires_at.since(self.hub.now());
        at.min(self.next_look.max(Stopwatch::now() + left))
    }

    /// Looks up the session's state if it is uncertain: when the stream opens, and when the session seems to have
    /// expired. An unavailable database does not end the stream.
    async fn look_up(&mut self) {
        let is_due = self.pending.look || self.expires_at <= self.hub.now();
        if !is_due || Stopwatch::now() < self.next_look {
            return;
        }
        self.next_look = Stopwatch::now() + RETRY;
        match self.hub.standing(&self.session).await {
            Ok(Some(Standing::Live { expires_at })) => {
                self.expires_at = expires_at;
                self.pending.look = false;
            }
            Ok(Some(Standing::Ended(ended))) => self.pending.ended = Some(ended),
            Ok(None) => self.pending.rotated = true,
            Err(error) => tracing::debug!(%error, "session lookup for an event stream failed"),
        }
    }

    fn changes(&mut self) -> Option<String> {
        if Stopwatch::now() < self.next_change || !(self.pending.sessions || self.pending.drafts) {
            return None;
        }
        self.next_change = Stopwatch::now() + CHANGE_INTERVAL;
        let mut text = String::new();
        for (changed, name) in
            [(&mut self.pending.sessions, "sessions-changed"), (&mut self.pending.drafts, "drafts-changed")]
        {
            if std::mem::take(changed) {
                text += &format!("event: {name}\ndata: {{}}\n\n");
            }
        }
        Some(text)
    }

    fn beat(&mut self) -> Option<String> {
        if Stopwatch::now() < self.next_beat {
            return None;
        }
        self.next_beat = Stopwatch::now() + HEARTBEAT;
        Some(BEAT.to_owned())
    }
}

/// The last event: the members of a problem document, and the time when the session ended.
fn ended_event(ended: Ended) -> String {
    let error = Error::SessionEnded(ended.because);
    let problem = json!({
        "type": error.slug(),
        "title": "Unauthorized",
        "status": 401,
        "detail": error.detail(),
        "reason": ended.because.as_str(),
        "at": ended.at,
    });
    format!("event: session-ended\ndata: {problem}\n\n")
}

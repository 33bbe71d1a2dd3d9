//! What open pages hear: one stream of server-sent events (HTML, 9.2) a browser. The script is `static/js/live.js`.
//!
//! Invariant: a stream never counts as activity, and none outlives its session by more than the news takes.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse,
    http::{
        Method,
        header::{self, HeaderName},
    },
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
        session::{SessionRef, current::Facts, ended::Ended, listing::Standing},
    },
    web::proxies::{Client, network},
};

/// How often a stream says that it is there, so that neither a proxy nor the page takes it for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Changes are told at most this often.
const QUIET: Duration = Duration::from_secs(1);
/// How soon a session that could not be looked up is looked up again.
const RETRY: Duration = Duration::from_secs(1);
/// What a browser that reads this without our script waits before it connects again.
const HELLO: &str = "retry: 3000\n\n";
const BEAT: &str = ":\n\n";
const ROTATED: &str = "event: sessions-changed\ndata: {\"rotated\":true}\n\n";

/// `GET /api/events`
///
/// # Errors
/// Once this node stops.
pub async fn events(req: HttpRequest, facts: Facts, hub: web::Data<Hub>) -> Result<HttpResponse> {
    let loaded = facts.live().ok_or_else(|| facts.absence())?;
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"));
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

/// A stream that is open.
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
    Beginning,
    Under,
    Over,
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
            stage: Stage::Beginning,
            next_beat: now + HEARTBEAT,
            next_change: now,
            next_look: now,
        }
    }

    /// The next piece of the stream, and the stream after it.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let text = match self.stage {
            Stage::Over => return None,
            Stage::Beginning => {
                self.stage = Stage::Under;
                HELLO.to_owned()
            }
            Stage::Under => self.text().await?,
        };
        Some((Ok(Bytes::from(text)), self))
    }

    /// Waits for something to say; `None` when the stream just ends.
    async fn text(&mut self) -> Option<String> {
        loop {
            if let Ok(news) = timeout_at(self.wake_at(), self.news.next()).await {
                self.pending.fold(news);
            }
            self.look_up().await;
            if let Some(ended) = self.pending.ended {
                self.stage = Stage::Over;
                return Some(farewell(ended));
            }
            if self.pending.rotated {
                self.stage = Stage::Over;
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

    /// When there is something to do even without news.
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

    /// Asks the database where the session stands, if that is not certain: at first, and when its time seems to be up. A
    /// database that is away ends nothing.
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
            Err(error) => tracing::debug!(%error, "an open stream's session could not be looked up"),
        }
    }

    fn changes(&mut self) -> Option<String> {
        if Stopwatch::now() < self.next_change || !(self.pending.sessions || self.pending.drafts) {
            return None;
        }
        self.next_change = Stopwatch::now() + QUIET;
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

/// The last event: a problem document's members, and when it was.
fn farewell(ended: Ended) -> String {
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

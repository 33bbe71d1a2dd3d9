//! The log lines of a request. Every line that is logged while a request is handled names the request, and one line says
//! how it was answered. Called by the outermost layer; set up by `serve::log`.
//!
//! A tracing span for each request would cost more than most answers. So the span is made only when the first line is
//! logged ([`LinesOfRequests`]), and the line about the answer, which every request has, bypasses tracing: the writer
//! thread of [`output`] formats it ([`AnsweredLine`]).
//!
//! Invariant: the format of every line is that of `tracing_subscriber` with the span entered.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use actix_web::http::{Method, StatusCode, Uri};
use tracing::{
    Dispatch, Event, Id, Instrument as _, Level, Metadata, Span, Subscriber,
    field::{Empty, display},
    span,
    subscriber::Interest,
};

use crate::base::{
    answered_line::{AnsweredLine, TARGET, shortened_path},
    output,
    request_id::RequestId,
    settings::LogFormat,
};

tokio::task_local! {
    static CURRENT: Rc<LoggedRequest>;
}

/// The format of the lines about answers. Not set if each request must have a span from its beginning.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Lets requests have their spans only when they log a line. The subscriber must be a [`LinesOfRequests`] that writes
/// `format` without colours to [`output::stderr`].
pub fn make_spans_late(format: LogFormat) {
    // It is set at most once, when the log starts.
    let _ = FORMAT.set(format);
}

/// A request, as log lines name it.
pub struct LoggedRequest {
    id: RequestId,
    method: Method,
    uri: Uri,
    span: OnceCell<Span>,
    /// Whether an error page has given the lines a code.
    has_code: Cell<bool>,
}

impl LoggedRequest {
    pub fn new(id: RequestId, method: Method, uri: Uri) -> Rc<Self> {
        Rc::new(Self { id, method, uri, span: OnceCell::new(), has_code: Cell::new(false) })
    }

    /// Runs `work`, which handles the request.
    pub fn scope<T>(self: Rc<Self>, work: impl Future<Output = T>) -> impl Future<Output = T> {
        let span = if FORMAT.get().is_some() { Span::none() } else { self.span().clone() };
        CURRENT.scope(self, work).instrument(span)
    }

    /// Adds the code of an error page to the request's lines from now on.
    pub fn add_code(&self, code: &impl std::fmt::Display) {
        self.span().record("code", display(code));
        self.has_code.set(true);
    }

    /// Logs the answer.
    #[expect(clippy::disallowed_methods, reason = "the machine's time, as in every other line of the log")]
    pub fn answered(&self, status: StatusCode, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match FORMAT.get() {
            None => tracing::info!(target: TARGET, status = status.as_u16(), ms, "answered"),
            Some(_) if self.has_code.get() => tracing::info!(target: TARGET, status = status.as_u16(), ms, "answered"),
            Some(format) if tracing::enabled!(target: TARGET, Level::INFO) => {
                let (method, uri) = (self.method.clone(), self.uri.clone());
                let line =
                    AnsweredLine { at: SystemTime::now(), id: self.id, method, uri, status, ms, format: *format };
                output::stderr().send_answered(line);
            }
            Some(_) => {}
        }
    }

    fn span(&self) -> &Span {
        // An error span, so that it is enabled at every log level and each line carries the request's id.
        self.span.get_or_init(|| {
            let path = shortened_path(&self.uri);
            tracing::error_span!(target: TARGET, parent: None, "request", id = %self.id, code = Empty, method = %self.method, %path)
        })
    }
}

/// Runs `work` as a part of the current request, for work that continues in another task.
pub fn of_current<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    // Read it now, because the other task is outside of the request.
    let current = CURRENT.try_with(Rc::clone).ok();
    async move {
        match current {
            Some(current) => current.scope(work).await,
            None => work.await,
        }
    }
}

/// A subscriber that enters the span of the current request for each line. `Span::current` finds no span; use
/// [`of_current`] for work in another task.
pub struct LinesOfRequests<S>(pub S);

impl<S: Subscriber> Subscriber for LinesOfRequests<S> {
    fn event(&self, event: &Event<'_>) {
        match CURRENT.try_with(|request| request.span().clone()) {
            Ok(span) => span.in_scope(|| self.0.event(event)),
            Err(_) => self.0.event(event),
        }
    }

    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.0.on_register_dispatch(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.0.event_enabled(event)
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        self.0.max_level_hint()
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> Id {
        self.0.new_span(span)
    }

    fn record(&self, span: &Id, values: &span::Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    fn enter(&self, span: &Id) {
        self.0.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.0.try_close(id)
    }
}

//! Limits on the size and duration of requests. The listener enforces the limits of connections. The outermost layer
//! calls [`admit`] to enforce the limits of requests.
//!
//! Invariant: a handler runs only for a request whose head is within its limit and whose body cannot exceed its limit.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::{
    HttpMessage as _,
    dev::{Payload, RequestHead, ServiceRequest},
    error::PayloadError,
    http::header,
    rt::time::{Instant, Sleep, sleep_until},
    web::Bytes,
};
use futures_util::{Stream, StreamExt as _, stream};

use crate::{
    base::error::{Error, Result},
    web::route::{Kind, Route},
};

/// The largest request head in bytes. Browsers send far less.
const LARGEST_HEAD: usize = 16 * 1024;
/// The largest head of a request that a proxy asks about. An app may take more than we do, and only proxies ask.
const LARGEST_ASKED_HEAD: usize = 64 * 1024;

/// Timeouts of the phases of a connection. Tests shorten them; there is no setting.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the first byte of a request to the last of its head.
    pub head: Duration,
    /// From the head of a request to the last byte of its body.
    pub body: Duration,
    /// From the first byte of a request to the first of its answer, and between any two writes that the client delays.
    pub answer: Duration,
    /// From the end of an answer to the next request.
    pub keep_alive: Duration,
    /// The lowest rate, in bytes per second, at which a client must take a large answer.
    pub slowest: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { head: seconds(10), body: seconds(30), answer: seconds(45), keep_alive: seconds(30), slowest: 4096 }
    }
}

/// Refuses a request whose head is too large or whose body exceeds `largest` bytes. A chunked body is read here in
/// full, so that the limit also holds for a handler that reads no body. A body with a length is passed on as it
/// arrives.
///
/// # Errors
/// [`Error::HeadTooLarge`] or [`Error::TooLarge`]; [`Error::Timeout`] if a chunked body took too long.
pub async fn admit(req: &mut ServiceRequest, limits: Limits, route: &Route) -> Result<()> {
    let largest = route.largest_body;
    let largest_head = if route.kind == Kind::Gate { LARGEST_ASKED_HEAD } else { LARGEST_HEAD };
    if size(req.head()) > largest_head {
        return Err(Error::HeadTooLarge);
    }
    let length = content_length(req.headers());
    let chunked = req.headers().contains_key(header::TRANSFER_ENCODING);
    if length.is_some_and(|length| length > largest) {
        return Err(Error::TooLarge);
    }
    if length.unwrap_or(0) == 0 && !chunked {
        return Ok(());
    }
    let mut body = InTime::new(req.take_payload(), limits.body);
    let payload = if chunked {
        let whole = read(&mut body, largest).await?;
        Payload::from(stream::iter([Ok(whole)]).boxed_local())
    } else {
        Payload::from(body.boxed_local())
    };
    req.set_payload(payload);
    Ok(())
}

/// Converts a failure to read a body.
pub fn unread(error: &PayloadError) -> Error {
    match error {
        PayloadError::Overflow => Error::TooLarge,
        PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Error::Timeout,
        _ => Error::Invalid("the body cannot be read".into()),
    }
}

/// The approximate size of a head: the lengths of its lines.
fn size(head: &RequestHead) -> usize {
    let scheme = head.uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = head.uri.authority().map_or(0, |authority| authority.as_str().len());
    let path = head.uri.path_and_query().map_or(0, |part| part.as_str().len());
    let line = head.method.as_str().len() + scheme + authority + path + "  HTTP/1.1\r\n".len();
    head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum::<usize>() + line
}

fn content_length(headers: &header::HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

async fn read(body: &mut InTime, largest: usize) -> Result<Bytes> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| unread(&error))?;
        if whole.len() + chunk.len() > largest {
            return Err(Error::TooLarge);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

/// A body with a deadline.
struct InTime {
    payload: Payload,
    deadline: Pin<Box<Sleep>>,
}

impl InTime {
    fn new(payload: Payload, time: Duration) -> Self {
        Self { payload, deadline: Box::pin(sleep_until(Instant::now() + time)) }
    }
}

impl Stream for InTime {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Check the deadline first, so that a client cannot extend it by sending a byte now and then.
        if self.deadline.as_mut().poll(cx).is_ready() {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the body took too long to arrive");
            return Poll::Ready(Some(Err(PayloadError::Io(late))));
        }
        self.payload.poll_next_unpin(cx)
    }
}

//! Keeps the form of a request until the request is answered. If a service is unavailable, the answer shows the form
//! again, even if no handler has read it. Called by the outermost layer.
//!
//! Invariant: only a form from our own pages is kept, so that no other site can choose what our pages show.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::{
    HttpMessage as _,
    dev::{Payload, ServiceRequest},
    error::PayloadError,
    http::{Method, header},
    web::Bytes,
};
use futures_util::{Stream, StreamExt as _};

use super::origin::{self, Proof};
use crate::web::site::Site;

/// A copy of the request's body, shared with its reader. [`limits::admit`](super::limits::admit) limits its size.
#[derive(Clone)]
pub struct SentForm(Rc<RefCell<Body>>);

struct Body {
    payload: Payload,
    read: Vec<u8>,
    is_broken: bool,
}

impl SentForm {
    /// Starts to copy the body as it is read. None if it is not a form from our own pages.
    pub fn keep(req: &mut ServiceRequest, site: &Site) -> Option<Self> {
        let is_form = *req.method() == Method::POST && is_urlencoded(req.headers());
        let is_ours = origin::proof_of(req.method(), req.headers(), site.public.origin()) == Some(Proof::Shown);
        if !(is_form && is_ours) {
            return None;
        }
        let body = Body { payload: req.take_payload(), read: Vec::new(), is_broken: false };
        let sent = Self(Rc::new(RefCell::new(body)));
        req.set_payload(Payload::from(sent.clone().boxed_local()));
        Some(sent)
    }

    /// All fields. Reads the rest of the body first; `None` if the body is incomplete.
    pub async fn fields(mut self) -> Option<Vec<(String, String)>> {
        while let Some(piece) = self.next().await {
            piece.ok()?;
        }
        let body = self.0.borrow();
        (!body.is_broken).then(|| url::form_urlencoded::parse(&body.read).into_owned().collect())
    }
}

impl Stream for SentForm {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.borrow_mut();
        let polled = Pin::new(&mut body.payload).poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(piece))) => body.read.extend_from_slice(piece),
            Poll::Ready(Some(Err(_))) => body.is_broken = true,
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }
}

fn is_urlencoded(headers: &header::HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

//! The form that a request brings, kept until the request is answered: where something is away, the answer is the form
//! again, also when no handler has read it. Called by the outermost layer.
//!
//! Invariant: only a form that came from our own pages is kept; nobody else chooses what our pages show.

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

/// Shares the body with whoever reads it. No larger than [`limits::admit`](super::limits::admit) lets a body be.
#[derive(Clone)]
pub struct SentForm(Rc<RefCell<Body>>);

struct Body {
    payload: Payload,
    read: Vec<u8>,
    is_broken: bool,
}

impl SentForm {
    /// Keeps what is read of the body from now on; `None` if it is no form from our own pages.
    pub fn keep(req: &mut ServiceRequest, site: &Site) -> Option<Self> {
        let is_form = *req.method() == Method::POST && is_urlencoded(req.headers());
        let is_ours = origin::judge(req.method(), req.headers(), site.public.origin()) == Some(Proof::Shown);
        if !(is_form && is_ours) {
            return None;
        }
        let body = Body { payload: req.take_payload(), read: Vec::new(), is_broken: false };
        let sent = Self(Rc::new(RefCell::new(body)));
        req.set_payload(Payload::from(sent.clone().boxed_local()));
        Some(sent)
    }

    /// All fields, after reading what nobody has read; `None` if the body did not arrive whole.
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

//! A document that never changes while the program runs, in each encoding. Used for the static files and for the
//! documents of the app, so that no request compresses or hashes anything.
//!
//! Invariant: each representation has its own strong entity tag.

use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, ContentEncoding, EntityTag, Header as _, HeaderValue, IfNoneMatch, TryIntoHeaderValue as _},
    },
    web::Bytes,
};

use super::encodings;
use crate::base::error::{Error, Result};

const VARY: HeaderValue = HeaderValue::from_static("Accept-Encoding");

/// A document in each encoding that makes it smaller, and plain.
#[derive(Debug)]
pub struct Representations {
    content_type: &'static str,
    /// The smallest first, the plain one last.
    encodings: Vec<ContentEncoding>,
    /// In the same order.
    each: Vec<Representation>,
}

#[derive(Debug)]
struct Representation {
    tag: EntityTag,
    tag_header: HeaderValue,
    content: Bytes,
}

impl Representations {
    /// `fingerprint` becomes the entity tag of the plain content. Tags of compressed content append the encoding.
    ///
    /// # Errors
    /// When the fingerprint cannot be sent in a header.
    pub fn new(
        content_type: &'static str,
        fingerprint: &str,
        contents: impl IntoIterator<Item = (ContentEncoding, Bytes)>,
    ) -> Result<Self> {
        let (mut encodings, mut each) = (Vec::new(), Vec::new());
        for (encoding, content) in contents {
            let tag = match encoding {
                ContentEncoding::Identity => fingerprint.to_owned(),
                encoding => format!("{fingerprint}-{}", encoding.as_str()),
            };
            let tag = EntityTag::new_strong(tag);
            let tag_header = tag.clone().try_into_value().map_err(Error::bug)?;
            encodings.push(encoding);
            each.push(Representation { tag, tag_header, content });
        }
        Ok(Self { content_type, encodings, each })
    }

    /// Answers with the best representation, or with 304 if the client has it (RFC 9110, 13.1.2).
    pub fn answer(&self, req: &HttpRequest, caching: HeaderValue) -> HttpResponse {
        let encoding = encodings::choose(req, &self.encodings);
        let chosen = self.encodings.iter().position(|one| *one == encoding).and_then(|at| self.each.get(at));
        let Some(Representation { tag, tag_header, content }) = chosen else {
            return HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let mut answer = if is_known(req, tag) {
            HttpResponse::new(StatusCode::NOT_MODIFIED)
        } else {
            let mut answer = HttpResponse::with_body(StatusCode::OK, BoxBody::new(content.clone()));
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            if encoding != ContentEncoding::Identity {
                answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
            }
            answer
        };
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, caching);
        headers.insert(header::ETAG, tag_header.clone());
        headers.insert(header::VARY, VARY);
        answer
    }
}

fn is_known(req: &HttpRequest, tag: &EntityTag) -> bool {
    if !req.headers().contains_key(header::IF_NONE_MATCH) {
        return false;
    }
    match IfNoneMatch::parse(req) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

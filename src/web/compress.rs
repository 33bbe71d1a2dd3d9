//! Compresses generated pages. Called by the outermost layer for every answer. Static files and the documents of the app
//! are stored compressed.
//!
//! Invariant: an answer to a request from another site is never compressed. If a page contains both a form token and
//! text chosen by that site, its compressed length leaks the token (BREACH, Gluck, Harris and Prado, 2013).

use std::io::Write as _;

use actix_web::{
    HttpMessage, HttpResponse,
    body::{BoxBody, MessageBody as _},
    http::header::{self, ContentEncoding},
    web::Bytes,
};
use flate2::{Compression, write::GzEncoder};

use super::header_names::SEC_FETCH_SITE;
use crate::base::assets::encodings;

/// Shorter texts fit in one packet uncompressed.
const LEAST: usize = 1024;
const PAGE: &str = "text/html";

/// Whether the answer to a request may be compressed. The client must accept gzip (RFC 9110, 12.5.3), and the browser
/// must say that the request came from our own pages or directly from the person.
pub fn may(request: &impl HttpMessage) -> bool {
    let site = request.headers().get(SEC_FETCH_SITE).map(header::HeaderValue::as_bytes);
    matches!(site, Some(b"same-origin" | b"none"))
        && encodings::choose(request, &[ContentEncoding::Gzip]) == ContentEncoding::Gzip
}

/// Compresses a text if that makes it smaller. `Vary` names the request headers that the decision depends on.
pub fn compressed(answer: HttpResponse, may: bool) -> HttpResponse {
    if !is_text(&answer) {
        return answer;
    }
    let (mut answer, body) = answer.into_parts();
    answer.headers_mut().append(header::VARY, header::HeaderValue::from_static("Accept-Encoding, Sec-Fetch-Site"));
    if !may {
        return answer.set_body(body);
    }
    let plain = match body.try_into_bytes() {
        Ok(plain) => plain,
        Err(streamed) => return answer.set_body(streamed),
    };
    match smaller(&plain) {
        Some(smaller) => {
            answer.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
            weaken(&mut answer);
            answer.set_body(BoxBody::new(smaller))
        }
        None => answer.set_body(BoxBody::new(plain)),
    }
}

fn is_text(answer: &HttpResponse) -> bool {
    let content_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_text = content_type.is_some_and(|value| value.starts_with(PAGE));
    // An answer that varies already was chosen from stored ones.
    is_text && !answer.headers().contains_key(header::CONTENT_ENCODING) && !answer.headers().contains_key(header::VARY)
}

fn smaller(plain: &Bytes) -> Option<Bytes> {
    if plain.len() < LEAST {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::default());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().filter(|packed| packed.len() < plain.len()).map(Bytes::from)
}

/// Weakens the ETag: the compressed answer has other bytes (RFC 9110, 8.8.1).
fn weaken(answer: &mut HttpResponse<()>) {
    let strong =
        answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(Ok(weak)) = strong.map(|tag| header::HeaderValue::from_str(&format!("W/{tag}"))) {
        answer.headers_mut().insert(header::ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use actix_web::test::TestRequest;

    use super::*;

    fn asked(headers: &[(&'static str, &'static str)]) -> bool {
        may(&headers
            .iter()
            .fold(TestRequest::get(), |request, header| request.insert_header(*header))
            .to_http_request())
    }

    fn header_of<'a>(answer: &'a HttpResponse, name: &str) -> &'a str {
        answer.headers().get(name).unwrap().to_str().unwrap()
    }

    #[test]
    fn only_requests_from_our_own_pages_are_compressed() {
        let [gzip, none] = [("accept-encoding", "gzip, deflate, br"), ("accept-encoding", "br")];
        let site = |site| ("sec-fetch-site", site);
        assert!(asked(&[gzip, site("same-origin")]) && asked(&[gzip, site("none")]));
        for site in [&[site("cross-site")][..], &[site("same-site")], &[site("")], &[]] {
            assert!(!asked(&[&[gzip], site].concat()), "{site:?}");
        }
        assert!(!asked(&[none, site("none")]) && !asked(&[site("none")]));
        assert!(!asked(&[("accept-encoding", "gzip;q=0"), site("none")]));
    }

    #[test]
    fn the_compressed_text_is_the_same_text() {
        let page = "<p>hold fast</p>".repeat(200);
        let made = |content_type, text: &str| {
            HttpResponse::Ok().content_type(content_type).insert_header(("etag", "\"a\"")).body(text.to_owned())
        };
        let answer = compressed(made("text/html; charset=utf-8", &page), true);
        assert_eq!((header_of(&answer, "content-encoding"), header_of(&answer, "etag")), ("gzip", "W/\"a\""));
        let packed = answer.into_body().try_into_bytes().unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert!(text == page && packed.len() < page.len() / 4);
        for (answer, may) in
            [(made("text/html", &page), false), (made("text/html", "short"), true), (made("image/png", &page), true)]
        {
            let before = answer.headers().contains_key("vary");
            let answer = compressed(answer, may);
            assert!(!before && !answer.headers().contains_key("content-encoding"), "{answer:?}");
            assert_eq!(header_of(&answer, "etag"), "\"a\"");
        }
    }
}

//! The choice of a content encoding (RFC 9110, 12.5.3). Called for every answer with a constant document and for every
//! page that may be compressed.

use actix_web::{
    HttpMessage,
    http::header::{self, AcceptEncoding, ContentEncoding, Encoding, Header as _, HeaderMap},
};

/// The best of the `available` encodings that the client accepts; the first if it accepts several alike. A client that
/// accepts none of them gets the plain content, which helps more than a 406.
pub fn choose(req: &impl HttpMessage, available: &[ContentEncoding]) -> ContentEncoding {
    let chosen = match simple_list(req.headers()) {
        Some(list) => {
            let accepts = |encoding: &ContentEncoding| {
                list.split(',').any(|accepted| accepted.trim().eq_ignore_ascii_case(encoding.as_str()))
            };
            available.iter().copied().find(accepts)
        }
        None => negotiate(req, available),
    };
    chosen.unwrap_or(ContentEncoding::Identity)
}

/// The header, if it is a plain list of encodings, as browsers send it.
fn simple_list(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(header::ACCEPT_ENCODING);
    let list = lines.next().map_or(Some(""), |line| line.to_str().ok())?;
    (lines.next().is_none() && !list.contains([';', '*'])).then_some(list)
}

fn negotiate(req: &impl HttpMessage, available: &[ContentEncoding]) -> Option<ContentEncoding> {
    let available: Vec<_> = available.iter().copied().map(Encoding::Known).collect();
    match AcceptEncoding::parse(req).ok()?.negotiate(available.iter())? {
        Encoding::Known(encoding) => Some(encoding),
        Encoding::Unknown(_) => None,
    }
}

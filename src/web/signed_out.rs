//! What an answer tells a browser whose session has just ended.
//!
//! Invariant: what the browser cached of a person goes when that person signs out.

use actix_web::{
    HttpResponse,
    http::header::{HeaderName, HeaderValue},
};

use crate::web::layout;

/// What a browser has cached of a person goes with the login (Clear-Site-Data, 3.1).
pub fn clear_cache(answer: &mut HttpResponse) {
    let cache = HeaderValue::from_static("\"cache\"");
    answer.headers_mut().insert(HeaderName::from_static("clear-site-data"), cache);
}

/// Goes on to the login, under `address`, after a session has ended itself. Its id goes along, so that the browser forgets
/// whose it was: nothing else there can tell this end from one by another device, after which it keeps what waits.
pub fn signed_out(address: &str, session_id: &str) -> HttpResponse {
    let sign = if address.contains('?') { '&' } else { '?' };
    let mut answer = layout::see_other(&format!("{address}{sign}ended={session_id}"));
    clear_cache(&mut answer);
    answer
}

//! Answers to a browser whose session has just ended. Called by the handlers that sign a person out.
//!
//! Invariant: a sign-out clears everything that the browser cached for the person.

use actix_web::{
    HttpResponse,
    http::header::{HeaderName, HeaderValue},
};

use crate::web::layout;

/// Clears the browser's cache (Clear-Site-Data, 3.1).
pub fn clear_cache(answer: &mut HttpResponse) {
    let cache = HeaderValue::from_static("\"cache\"");
    answer.headers_mut().insert(HeaderName::from_static("clear-site-data"), cache);
}

/// Redirects to the login at `address` after a session has ended itself.
pub fn signed_out(address: &str, session_id: &str) -> HttpResponse {
    let mut answer = layout::see_other(&signed_out_address(address, session_id));
    clear_cache(&mut answer);
    answer
}

/// The login at `address`, with the id of a session that has ended itself, so that the browser deletes the data of that
/// session. Without it the browser would assume that another device ended the session, and keep the data that was not sent
/// yet.
pub fn signed_out_address(address: &str, session_id: &str) -> String {
    let sign = if address.contains('?') { '&' } else { '?' };
    format!("{address}{sign}ended={session_id}")
}

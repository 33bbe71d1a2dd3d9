//! `/.sessile/echo` on an app's host: answers with the headers that the proxy passed on, so that `doctor` sees what the app
//! would see.
//!
//! Invariant: what proves a person is left out, because scripts of the app can read the answer.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, http::header};
use serde_json::json;

use super::arrival::Arrival;

/// Any method `/.sessile/echo`
pub async fn show(arrival: Arrival) -> HttpResponse {
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in arrival.req.headers() {
        let is_secret = [header::COOKIE, header::AUTHORIZATION].contains(name) || name.as_str().contains("assertion");
        let shown = match is_secret && !value.is_empty() {
            true => "…".to_owned(),
            false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        headers.entry(name.as_str()).or_default().push(shown);
    }
    HttpResponse::Ok().json(json!({"method": arrival.req.method().as_str(), "headers": headers}))
}

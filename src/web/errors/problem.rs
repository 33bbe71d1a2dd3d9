//! Problem documents (RFC 9457), the error answers of the API and of the operators' addresses. Called by
//! [`errors`](super).
//!
//! Invariant: a document never contains the cause of an error.

use actix_web::{HttpResponse, ResponseError as _};

use crate::base::error::Error;

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    request_id: &'a str,
}

pub(super) fn answer(error: &Error, request_id: &str) -> HttpResponse {
    let status = error.status_code();
    let reason = match error {
        Error::SessionEnded(because) => Some(because.as_str()),
        _ => None,
    };
    let problem = Problem {
        r#type: error.slug(),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: error.detail(),
        reason,
        request_id,
    };
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .body(serde_json::to_string(&problem).unwrap_or_default())
}

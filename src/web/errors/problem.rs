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
    /// What the account has as a second factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    methods: Option<&'a [&'static str]>,
    /// Where a second factor is set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_up: Option<&'a str>,
    request_id: &'a str,
}

pub(super) fn answer(error: &Error, request_id: &str) -> HttpResponse {
    let status = error.status_code();
    let reason = match error {
        Error::SessionEnded(because) => Some(because.as_str()),
        _ => None,
    };
    let methods = match error {
        Error::SecondFactorRequired(methods, _) => Some(methods.as_slice()),
        _ => None,
    };
    let set_up = match error {
        Error::SetUpRequired(address) => Some(*address),
        _ => None,
    };
    let problem = Problem {
        r#type: error.slug(),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: error.detail(),
        reason,
        methods,
        set_up,
        request_id,
    };
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .body(serde_json::to_string(&problem).unwrap_or_default())
}

//! The only place where an [`Error`] becomes an answer: a problem document (RFC 9457) for the API and for operators, a
//! redirect to the login, or a page. Called by the outermost layer.
//!
//! Invariant: the cause of an error is logged here, once, and never sent to the client.

mod help_code;
mod page;
mod problem;
mod sent_form_again;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError as _,
    body::{BodySize, MessageBody as _},
    http::{ConnectionType, header},
};

use self::{help_code::HelpCode, page::ErrorPage, sent_form_again::SentFormAgain};
use crate::{
    base::error::Error,
    web::{app_host, layout, request_summary::RequestSummary, return_to, route::Kind},
};

/// Renders an error or an error status without a body; returns any other answer unchanged. Keeps the cookies that the
/// handler set, unless the session has ended.
pub(super) async fn explain(summary: &RequestSummary, req: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    let is_empty_error =
        answer.status().as_u16() >= 400 && matches!(answer.body().size(), BodySize::None | BodySize::Sized(0));
    if answer.error().is_none() && !is_empty_error {
        return answer;
    }
    let known = answer.error().and_then(|error| error.as_error::<Error>());
    let from_status;
    let error = match known {
        Some(error) => error,
        None => {
            from_status = Error::from_status(answer.status());
            &from_status
        }
    };
    let mut rendered = render(error, Some(req), summary, form_to_resend(summary, error).await);
    if !matches!(error, Error::SessionEnded(_)) {
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            rendered.headers_mut().append(header::SET_COOKIE, cookie.clone());
        }
    }
    rendered
}

/// The answer when a layer failed before any handler ran.
pub(super) async fn of_failed_layer(summary: &RequestSummary, error: &actix_web::Error) -> HttpResponse {
    match error.as_error::<Error>() {
        Some(known) => render(known, None, summary, form_to_resend(summary, known).await),
        None => of_error(summary, &Error::from_status(error.as_response_error().status_code())),
    }
}

/// The answer to a request that the outermost layer refuses itself.
pub(super) fn of_error(summary: &RequestSummary, error: &Error) -> HttpResponse {
    render(error, None, summary, None)
}

/// The form that was sent, if the client may send it again later.
async fn form_to_resend(summary: &RequestSummary, error: &Error) -> Option<SentFormAgain> {
    error.retry_after()?;
    summary.sent.clone()?.fields().await.map(SentFormAgain::new)
}

fn render(
    error: &Error,
    req: Option<&HttpRequest>,
    summary: &RequestSummary,
    form: Option<SentFormAgain>,
) -> HttpResponse {
    let mut answer = if summary.route.kind.wants_problem_documents() {
        log(error);
        problem::answer(error, summary.id.as_str())
    } else if summary.route.kind == Kind::AppHost {
        log(error);
        app_host::error_page(error, &summary.site.app_face)
    } else if let (true, Error::LoginRequired | Error::SessionEnded(_)) = (summary.is_get, error) {
        layout::see_other(&return_to::login_address(summary.path_and_query()))
    } else if let Error::SetUpRequired(address) = error {
        layout::see_other(address)
    } else if matches!(error, Error::LoginRequired | Error::SessionEnded(_)) {
        layout::see_other(return_to::LOGIN)
    } else {
        summary.logged.add_code(&HelpCode::of(summary.id.as_str()));
        log(error);
        ErrorPage::answer(error, req, summary, form).unwrap_or_else(|error| error.error_response())
    };
    if let Error::MethodNotAllowed(methods) = error
        && let Ok(allowed) = header::HeaderValue::from_str(methods)
    {
        answer.headers_mut().insert(header::ALLOW, allowed);
    }
    if let Some(seconds) = error.retry_after() {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if matches!(error, Error::Timeout | Error::HeadTooLarge) {
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    answer
}

/// Logs the cause of an error, which the client does not see.
pub(super) fn log(error: &Error) {
    match error {
        Error::Internal(cause) => tracing::error!(cause = format!("{cause:#}"), "request failed"),
        Error::Unavailable(fault) => tracing::warn!(cause = %fault, "request failed: service unavailable"),
        Error::CrossOrigin(origins) if origins.is_for_app => tracing::debug!(
            from = origins.from.as_deref().unwrap_or("none named"),
            app = origins.public,
            "a request to an app from another origin was refused: `sessile app set --allow-cross-site` permits it"
        ),
        Error::CrossOrigin(origins) => tracing::warn!(
            from = origins.from.as_deref().unwrap_or("none named"),
            public = origins.public,
            "a request from another origin was refused: if people open Sessile there, set SESSILE_PUBLIC_URL to that \
             origin, or redirect it to the public one"
        ),
        _ => {}
    }
}

//! The API of the session's JSON object, which its client reads and writes. The server does not interpret it. Called by
//! the routes.
//!
//! Invariant: the object is stored in its own column, so a client cannot reach other session state.

use actix_web::{HttpResponse, web};
use serde_json::Value;

use crate::{
    actions::session_data,
    base::error::Result,
    records::session::{CurrentUser, data::Patch},
    web::{context::RequestContext, rates::Act},
};

/// `GET /api/session/data`
pub async fn show(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    match context.sessions.data(&user.account.id, &user.record.id).await? {
        Some(data) => Ok(json_text(data)),
        None => Err(context.ended_meanwhile().await?),
    }
}

/// `PATCH /api/session/data`: applies a merge patch (RFC 7396) under a row lock, so that writers of different keys
/// never overwrite each other.
///
/// # Errors
/// [`Error::Invalid`](crate::base::error::Error::Invalid) if the patch is not an object or holds U+0000;
/// [`Error::TooLarge`](crate::base::error::Error::TooLarge) if the result is over 16 KiB.
pub async fn patch(user: CurrentUser, sent: web::Json<Value>, context: RequestContext) -> Result<HttpResponse> {
    context.count(Act::Data, &user, 1)?;
    let patch = Patch::new(sent.into_inner())?;
    match session_data::patch(&context.sessions.db, user.acting(), patch).await? {
        Some(data) => Ok(json_text(data)),
        None => Err(context.ended_meanwhile().await?),
    }
}

fn json_text(text: String) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text)
}

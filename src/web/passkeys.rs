//! Connects requests to the actions on passkeys: builds their arguments, and answers with the question. Called by the pages
//! and the API of passkeys, and by the login.
//!
//! Invariant: a question is bound to the browser by its visitor cookie, which the answer with the question sets if needed.

use actix_web::HttpResponse;
use serde_json::Value;

use crate::{
    actions::passkeys::{Answer, Asked, Tools},
    base::{
        error::{Error, Result},
        secret::Secret,
    },
    web::{context::RequestContext, rates::Act},
};

/// What the actions need.
///
/// # Errors
/// [`Error::Conflict`] where a browser can have no passkeys for this service.
pub fn tools(context: &RequestContext) -> Result<Tools> {
    let ceremonies = context.site.passkeys.clone().map_err(|why| Error::Conflict(why.to_string()))?;
    Ok(Tools { sessions: context.sessions.get_ref().clone(), ceremonies })
}

/// Answers with the question that `ask` makes for this browser.
pub async fn question(
    context: &RequestContext,
    ask: impl AsyncFnOnce(&Tools, &Secret) -> Result<Asked>,
) -> Result<HttpResponse> {
    let (visitor, new) = context.visitor()?;
    let asked = ask(&tools(context)?, &visitor).await?;
    let mut answer = HttpResponse::Ok().json(asked);
    if let Some(cookie) = new {
        answer.add_cookie(&cookie).map_err(Error::bug)?;
    }
    Ok(answer)
}

/// The browser's answer. Counts it against the limit of its address.
///
/// # Errors
/// [`Error::TooFast`], and [`Error::Invalid`] for a browser that was asked nothing.
pub fn answer(context: &RequestContext, state: String, credential: Value) -> Result<Answer> {
    context.site.rates.take(Act::SignIn, context.bucket().as_slice(), 1)?;
    let visitor = context.site.cookies.visitor(context.req.headers());
    let visitor =
        visitor.ok_or_else(|| Error::Invalid("your browser sent no cookie: allow cookies here".to_owned()))?;
    Ok(Answer { state, credential, visitor, network: context.network()? })
}

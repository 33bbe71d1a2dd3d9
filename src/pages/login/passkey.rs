//! The API with which the pages sign in and confirm with a passkey. The script of the pages calls it. Called by the routes.
//!
//! Invariant: whether an address has an account, or an account a passkey, shows only to a person who has proved the
//! password or is signed in.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    second,
    visit::{self, let_in},
};
use crate::{
    actions::{
        confirm::{Confirmation, Confirmed},
        end_sessions::Ending,
        passkeys::{Refusal, confirm, sign_in},
    },
    base::error::{Error, Result},
    records::session::CurrentUser,
    web::{
        context::RequestContext,
        json::{Anything, Object},
        passkeys, return_to,
        signed_out::clear_cache,
    },
};

/// The body of `POST /api/passkeys/sign-in/options`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Whether the passkey is the second factor after a right password.
    second: bool,
}

/// The body of `POST /api/passkeys/sign-in`.
#[derive(Debug, Deserialize)]
pub struct SignIn {
    state: String,
    credential: Value,
    #[serde(default)]
    next: String,
    #[serde(default)]
    second: bool,
}

/// The body of `POST /api/passkeys/confirm`.
#[derive(Debug, Deserialize)]
pub struct Confirming {
    state: String,
    credential: Value,
    #[serde(default)]
    next: String,
    #[serde(default)]
    then: String,
}

/// `POST /api/passkeys/sign-in/options`
///
/// # Errors
/// [`Error::Conflict`] where browsers can have no passkeys; [`Error::PasskeyRefused`] if the first step is void.
pub async fn ask(wanted: web::Json<Object<Wanted>>, context: RequestContext) -> Result<HttpResponse> {
    if !wanted.0.0.second {
        return passkeys::question(&context, async |tools, visitor| sign_in::ask(tools, visitor)).await;
    }
    let half = second::half(&context).ok_or(Refusal::NotAdmitted)?;
    passkeys::question(&context, async |tools, visitor| sign_in::ask_second(tools, &half, visitor).await).await
}

/// `POST /api/passkeys/sign-in`
///
/// # Errors
/// [`Error::PasskeyUnknown`] for a passkey that no account has; [`Error::PasskeyRefused`]; [`Error::Invalid`] for an answer to
/// another question; [`Error::TooManyAttempts`].
pub async fn submit(sent: web::Json<Object<SignIn>>, context: RequestContext) -> Result<HttpResponse> {
    let Object(SignIn { state, credential, next, second }) = sent.into_inner();
    let half = if second { Some(second::half(&context).ok_or(Refusal::NotAdmitted)?) } else { None };
    let next = match half.as_ref().and_then(|half| half.next.clone()) {
        Some(next) => next,
        None => address(&context, &next),
    };
    let (tools, answer) = (passkeys::tools(&context)?, passkeys::answer(&context, state, credential)?);
    let signed_in = sign_in::sign_in(&context.prover, &tools, answer, half, visit::of(&context)).await?;
    let welcome = signed_in.welcome()?;
    let mut answer = let_in(&context, &welcome, HttpResponse::Ok().json(json!({ "next": next })))?;
    if second {
        second::forget(&context, &mut answer)?;
    }
    Ok(answer)
}

/// `POST /api/passkeys/confirm/options`
///
/// # Errors
/// [`Error::Invalid`] if the person has no passkey; [`Error::Conflict`] where browsers can have none.
pub async fn ask_confirmation(_: Anything, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    passkeys::question(&context, async |tools, visitor| confirm::ask(tools, &user, visitor).await).await
}

/// `POST /api/passkeys/confirm`
///
/// # Errors
/// Like [`submit`].
pub async fn submit_confirmation(
    sent: web::Json<Object<Confirming>>,
    user: CurrentUser,
    context: RequestContext,
) -> Result<HttpResponse> {
    let Object(Confirming { state, credential, next, then }) = sent.into_inner();
    let then = match then.as_str() {
        "" => None,
        then => Some(Ending::parse(then).ok_or(Error::NotFound)?),
    };
    let key = context.facts.presented_key().ok_or(Error::LoginRequired)?;
    let (tools, answer) = (passkeys::tools(&context)?, passkeys::answer(&context, state, credential)?);
    let ip = context.facts.ip.clone();
    let confirmation = Confirmation { user: user.clone(), key, then: then.clone(), code: None, ip };
    match confirm::confirm(&tools, answer, confirmation).await?? {
        Confirmed::Yes { key, ended } => {
            let next =
                super::confirm::after(&context, &user, (then.as_ref(), &address(&context, &next)), (&key, &ended))?;
            let mut answer = HttpResponse::Ok().json(json!({ "next": next }));
            if ended.own {
                clear_cache(&mut answer);
            }
            Ok(answer)
        }
        Confirmed::SessionEnded => Err(context.ended_meanwhile().await?),
        Confirmed::WrongPassword | Confirmed::WrongCode(_) => Err(Error::bug("a passkey was taken for a password")),
    }
}

fn address(context: &RequestContext, next: &str) -> String {
    return_to::own_address(&context.site.public, next).unwrap_or_else(|| return_to::HOME.to_owned())
}

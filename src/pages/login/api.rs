//! The JSON API for signing in and out. Called by the routes.
//!
//! Invariant: signing in with JSON takes the same steps as the login page.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::{
    logout::{end_this, forget_cookie},
    visit::{self, let_in, proof},
};
use crate::{
    actions::{
        new_session::Visit,
        sign_in::{self, SignedIn},
    },
    base::error::{Error, Result},
    records::{
        account::{Account, EmailAddress},
        device,
        session::{CurrentUser, SessionView},
    },
    web::{context::RequestContext, json::Object, signed_out::clear_cache},
};

/// The body of `POST /api/establish-session`.
#[derive(Debug, Deserialize)]
pub struct Credentials {
    email: String,
    password: String,
    /// A code of the second factor.
    code: Option<String>,
    #[serde(default)]
    device: Object<DeviceFacts>,
}

/// The facts that a client reports about its device.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeviceFacts {
    name: Option<String>,
    installed: Option<bool>,
}

/// The signed-in person and their session.
#[derive(Debug, Serialize)]
struct Established<'a> {
    user: &'a Account,
    session: SessionView,
}

/// `POST /api/establish-session`
///
/// # Errors
/// [`Error::InvalidCredentials`]; [`Error::SecondFactorRequired`], also for a wrong code; [`Error::TooManyAttempts`];
/// [`Error::TooFast`].
pub async fn establish(sent: web::Json<Object<Credentials>>, context: RequestContext) -> Result<HttpResponse> {
    let Object(Credentials { email, password, code, device: Object(device) }) = sent.into_inner();
    let email = EmailAddress::known(&email).map_err(|_| Error::Invalid("email is not an e-mail address".into()))?;
    let name = device.name.as_deref().map(device::check_name).transpose()?;
    let visit = Visit { device_name: name, installed: device.installed, ..visit::of(&context) };
    let proof = proof(&context, &email, password)?;
    let welcome = match sign_in::sign_in(&context.prover, &context.sessions, proof, code, visit).await? {
        SignedIn::Yes(welcome) => welcome,
        SignedIn::Half { step, .. } => return Err(Error::SecondFactorRequired(step.methods.names())),
        SignedIn::No => return Err(Error::InvalidCredentials),
    };
    let view = SessionView::new(&welcome.record, Some(&welcome.device_name), true);
    let answer = HttpResponse::Ok().json(Established { user: &welcome.account, session: view });
    let_in(&context, &welcome, answer)
}

/// `GET /api/session`
pub async fn show(user: CurrentUser) -> Result<HttpResponse> {
    let CurrentUser { record, account, device_name, .. } = user;
    Ok(HttpResponse::Ok().json(Established { user: &account, session: SessionView::of_own(record, device_name) }))
}

/// `DELETE /api/session`. Also accepts a key from before a rotation, and several keys.
pub async fn log_out(user: Result<CurrentUser>, context: RequestContext) -> Result<HttpResponse> {
    let (is_live, is_nobody) = match user {
        Ok(_) | Err(Error::SetUpRequired(_)) => (true, false),
        Err(Error::SessionEnded(_)) => (false, false),
        Err(Error::LoginRequired) => (false, true),
        Err(error) => return Err(error),
    };
    if !end_this(&context.facts, &context.sessions).await? {
        return Err(if is_nobody { Error::LoginRequired } else { context.ended_meanwhile().await? });
    }
    let mut answer = HttpResponse::NoContent().finish();
    if is_live {
        context.goodbye(true);
        clear_cache(&mut answer);
    } else {
        forget_cookie(&context, &mut answer)?;
    }
    Ok(answer)
}

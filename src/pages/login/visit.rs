//! Connects requests to the actions that begin a session: builds their arguments from the request, and adds the
//! resulting cookies to the response. Called by the pages and the API of this folder.
//!
//! Invariant: a session begun here gets both of its cookies, the session's and the device's.

use actix_web::HttpResponse;

use crate::{
    actions::{
        new_password::Newcomer,
        new_session::{Visit, Welcome},
        password_proof::Proof,
        sign_in,
    },
    base::error::{Error, Result},
    records::{account::EmailAddress, device::Unread, session::Amr},
    web::{context::RequestContext, rates::Act},
};

/// Describes the browser that sent this request. The visitor cookie makes a form that is sent twice one login.
pub(super) fn of(context: &RequestContext) -> Visit {
    let facts = &context.facts;
    Visit {
        presented: facts.presented_key(),
        form: context.login_form(),
        device_secrets: context.device_secrets(),
        device_name: None,
        ip: facts.ip.clone(),
        client: Unread {
            user_agent: facts.user_agent.clone(),
            hints: facts.hints.clone(),
            has_touch_screen: context.req.query_string().split('&').any(|pair| pair == "touch=1"),
        },
        installed: None,
        zone: facts.browser_zone.clone(),
        amr: Amr::password(),
    }
}

/// Builds the proof of a password for this address, unless too many right passwords were sent recently.
///
/// # Errors
/// [`Error::TooFast`](crate::base::error::Error::TooFast).
pub(super) fn proof(context: &RequestContext, email: &EmailAddress, password: String) -> Result<Proof> {
    let rate = context.password_rate(Act::SignIn, email)?;
    Ok(Proof { claim: context.claim(email)?, password, on_right: Box::new(move || rate.charge()) })
}

/// Signs in to the account that this form created, if the form was sent twice. Returns `None` if it was not, or if the
/// password differs.
///
/// # Errors
/// The errors of [`proof`] and of [`sign_in::sign_in_again`].
pub(super) async fn sign_in_again(
    context: &RequestContext,
    typed: &str,
    password: String,
) -> Result<Option<Box<Welcome>>> {
    let Ok(email) = EmailAddress::known(typed) else {
        return Ok(None);
    };
    let proof = proof(context, &email, password)?;
    sign_in::sign_in_again(&context.prover, &context.sessions, proof, of(context)).await
}

/// Describes a person who creates an account in this browser.
pub(super) fn newcomer(
    context: &RequestContext,
    email: EmailAddress,
    name: String,
    password: String,
) -> Result<Newcomer> {
    Ok(Newcomer { email, name, password, network: context.network()?, visit: of(context) })
}

/// Adds the session cookie and the device cookies to the response.
pub(super) fn let_in(context: &RequestContext, welcome: &Welcome, mut answer: HttpResponse) -> Result<HttpResponse> {
    context.hand_over(&welcome.key, &welcome.account.id)?;
    context.remember_devices(&welcome.device_secrets, &mut answer)?;
    let cookies = &context.site.cookies;
    if cookies.half(context.req.headers()).is_some() {
        answer.add_cookie(&cookies.removal(&cookies.half)).map_err(Error::bug)?;
    }
    Ok(answer)
}

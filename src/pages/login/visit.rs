//! Between a request and the actions that begin a session: what the request tells of its browser, and the cookies that go
//! back to it. Called by the pages and the API of this folder.

use actix_web::HttpResponse;

use crate::{
    actions::{
        new_password::Newcomer,
        new_session::{Visit, Welcome},
        password_proof::Proof,
        sign_in,
    },
    base::error::Result,
    records::{account::EmailAddress, device::Unread},
    web::{context::RequestContext, rates::Act},
};

/// The browser that sent this request. Its visitor cookie makes one login of a form that is sent twice.
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
    }
}

/// A password for the account with this address, unless too many were right lately.
///
/// # Errors
/// [`Error::TooFast`](crate::base::error::Error::TooFast).
pub(super) fn proof(context: &RequestContext, email: &EmailAddress, password: String) -> Result<Proof> {
    let rate = context.password_rate(Act::SignIn, email)?;
    Ok(Proof { claim: context.claim(email)?, password, on_right: Box::new(move || rate.charge()) })
}

/// Signs in to the account that this form created, if it was sent twice. `None` if it was not, or the password is another.
///
/// # Errors
/// Those of [`proof`] and of [`sign_in::sign_in_again`].
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

/// A person who creates an account in this browser.
pub(super) fn newcomer(
    context: &RequestContext,
    email: EmailAddress,
    name: String,
    password: String,
) -> Result<Newcomer> {
    Ok(Newcomer { email, name, password, network: context.network()?, visit: of(context) })
}

/// Sends the cookies of the session and of the device with the answer.
pub(super) fn let_in(context: &RequestContext, welcome: &Welcome, mut answer: HttpResponse) -> Result<HttpResponse> {
    context.hand_over(&welcome.key, &welcome.account.id)?;
    context.remember_devices(&welcome.device_secrets, &mut answer)?;
    Ok(answer)
}

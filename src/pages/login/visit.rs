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
    web::{context::Desk, rates::Act},
};

/// The browser that sent this request. Its visitor cookie makes one login of a form that is sent twice.
pub(super) fn of(desk: &Desk) -> Visit {
    let facts = &desk.facts;
    Visit {
        presented: facts.presented_key(),
        form: desk.login_form(),
        device_secrets: desk.device_secrets(),
        device_name: None,
        ip: facts.ip.clone(),
        client: Unread {
            user_agent: facts.user_agent.clone(),
            hints: facts.hints.clone(),
            has_touch_screen: desk.req.query_string().split('&').any(|pair| pair == "touch=1"),
        },
        installed: None,
        zone: facts.browser_zone.clone(),
    }
}

/// A password for the account with this address, unless too many were right lately.
///
/// # Errors
/// [`Error::TooFast`](crate::base::error::Error::TooFast).
pub(super) fn proof(desk: &Desk, email: &EmailAddress, password: String) -> Result<Proof> {
    let rate = desk.password_rate(Act::SignIn, email)?;
    Ok(Proof { claim: desk.claim(email)?, password, on_right: Box::new(move || rate.charge()) })
}

/// Signs in to the account that this form created, if it was sent twice. `None` if it was not, or the password is another.
///
/// # Errors
/// Those of [`proof`] and of [`sign_in::sign_in_again`].
pub(super) async fn sign_in_again(desk: &Desk, typed: &str, password: String) -> Result<Option<Box<Welcome>>> {
    let Ok(email) = EmailAddress::known(typed) else {
        return Ok(None);
    };
    let proof = proof(desk, &email, password)?;
    sign_in::sign_in_again(&desk.prover, &desk.sessions, proof, of(desk)).await
}

/// A person who creates an account in this browser.
pub(super) fn newcomer(desk: &Desk, email: EmailAddress, name: String, password: String) -> Result<Newcomer> {
    Ok(Newcomer { email, name, password, network: desk.network()?, visit: of(desk) })
}

/// Sends the cookies of the session and of the device with the answer.
pub(super) fn let_in(desk: &Desk, welcome: &Welcome, mut answer: HttpResponse) -> Result<HttpResponse> {
    desk.hand_over(&welcome.key, &welcome.account.id)?;
    desk.remember_devices(&welcome.device_secrets, &mut answer)?;
    Ok(answer)
}

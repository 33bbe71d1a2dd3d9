//! The page `/login/second`: the second factor after a right password. Called by the routes; the pages that check a password
//! or a link come here with `ask`.
//!
//! Invariant: nothing here opens anything without a right code. The state between is bound to this browser, and ends with
//! the sign-in that it leads to.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::visit::{self, let_in};
use crate::{
    actions::{
        password_proof::Claim,
        second_factor::{
            finish::{Finished, finish},
            half::Half,
        },
    },
    base::{
        db::Conn,
        error::{Error, Result},
        keys::SealingKeys,
        secret::Secret,
    },
    records::{
        account::EmailAddress,
        second_factor::{self, Methods},
    },
    web::{
        context::RequestContext,
        form_again::{Lost, TooMany, form_again_after},
        forms::Form,
        layout::{self, Page},
        rates::Act,
        return_to,
    },
};

/// The address of the page.
pub(super) const ADDRESS: &str = "/login/second";
/// The longest address that the cookie carries. A longer one stands in the page's own address.
const LONGEST_IN_COOKIE: usize = 2000;

/// The query of the page, and the fields of its form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    code: String,
    next: String,
}

#[derive(Template)]
#[template(path = "login/second.html")]
struct SecondPage {
    page: Page,
    token: String,
    methods: Methods,
    /// Whether the account has a passkey that the browser can use here.
    has_passkeys: bool,
    /// Whether the account has a code of any kind.
    has_codes: bool,
    next: Option<String>,
    notice: Option<String>,
    code_error: Option<String>,
}

/// What the form says.
#[derive(Debug, Default)]
struct Again {
    notice: Option<String>,
    code_error: Option<String>,
}

/// Sends the person on to this page, with the state between in a cookie.
pub(super) fn ask(context: &RequestContext, half: Half, next: Option<String>) -> Result<HttpResponse> {
    match next {
        Some(next) if next.len() > LONGEST_IN_COOKIE => {
            let answer = layout::see_other(&return_to::address_with_next(ADDRESS, &next));
            with_cookie(context, half, answer)
        }
        next => with_cookie(context, half.going_on_to(next), layout::see_other(ADDRESS)),
    }
}

fn with_cookie(context: &RequestContext, half: Half, mut answer: HttpResponse) -> Result<HttpResponse> {
    let (visitor, new) = context.visitor()?;
    if let Some(cookie) = new {
        answer.add_cookie(&cookie).map_err(Error::bug)?;
    }
    let value = half.seal(&context.sessions.sealing, &visitor)?;
    answer.add_cookie(&context.site.cookies.half_cookie(&value)).map_err(Error::bug)?;
    Ok(answer)
}

/// `GET /login/second`
pub async fn show(query: web::Query<Fields>, context: RequestContext) -> Result<HttpResponse> {
    match half(&context) {
        Some(half) => form(StatusCode::OK, &context, &half, &query.next, Again::default()).await,
        None => Ok(start_again(&context, None, &query.next)),
    }
}

/// `POST /login/second`
///
/// # Errors
/// None for a wrong code, too many codes or an unavailable database, which show the form again.
pub async fn submit(sent: Form<Fields>, context: RequestContext) -> Result<HttpResponse> {
    let Fields { code, next } = sent.fields;
    let Some(half) = half(&context) else { return Ok(start_again(&context, None, &next)) };
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please type a code again.".to_owned());
        let again = Again { notice, ..Again::default() };
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, &half, &next, again).await;
    }
    if code.trim().is_empty() {
        let again = Again { code_error: Some("Enter a code.".to_owned()), ..Again::default() };
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, &half, &next, again).await;
    }
    match check(&context, half.clone(), code).await {
        Ok(Finished::Yes(welcome)) => {
            let next = next_of(&context, Some(&half), &next);
            let_in(&context, &welcome, layout::see_other(next.as_deref().unwrap_or(return_to::HOME)))
        }
        Ok(Finished::Wrong(why)) => {
            let again = Again { code_error: Some(why.in_words()), ..Again::default() };
            form(StatusCode::UNAUTHORIZED, &context, &half, &next, again).await
        }
        Ok(Finished::Void) => Ok(start_again(&context, Some(&half), &next)),
        Err(error) => {
            let methods = methods(&context, &half).await.unwrap_or(ANY);
            form_again_after(error, TooMany::Codes, Lost::Nothing, |status, words| {
                let again = match status {
                    StatusCode::TOO_MANY_REQUESTS => Again { code_error: Some(words), ..Again::default() },
                    _ => Again { notice: Some(words), ..Again::default() },
                };
                render(status, &context, (&half, methods), &next, again)
            })
        }
    }
}

async fn check(context: &RequestContext, half: Half, code: String) -> Result<Finished> {
    let email = EmailAddress::known(&half.email)?;
    context.password_rate(Act::SignIn, &email)?;
    let claim: Claim = context.claim(&email)?;
    finish(&context.prover, &context.sessions, half, code, claim, visit::of(context)).await
}

/// The first step of this browser, if it is still good.
pub(super) fn half(context: &RequestContext) -> Option<Half> {
    let now = context.sessions.clock.now();
    sealed(context, |keys, visitor, value| Half::open(keys, visitor, value, now))
}

fn sealed(context: &RequestContext, open: impl FnOnce(&SealingKeys, &Secret, &str) -> Option<Half>) -> Option<Half> {
    let value = context.site.cookies.half(context.req.headers())?;
    let visitor = context.site.cookies.visitor(context.req.headers())?;
    open(&context.sessions.sealing, &visitor, &value)
}

/// The first step is void: the person signs in again, and comes to the same place then.
fn start_again(context: &RequestContext, half: Option<&Half>, next: &str) -> HttpResponse {
    let half = half.cloned().or_else(|| sealed(context, Half::open_expired));
    let next = next_of(context, half.as_ref(), next);
    let address = match context.facts.live().is_some() {
        true => next.unwrap_or_else(|| return_to::HOME.to_owned()),
        // This browser has begun no first step.
        false if half.is_none() => match next {
            Some(next) => return_to::login_address(&next),
            None => return_to::LOGIN.to_owned(),
        },
        false => return_to::expired_second_step(next.as_deref()),
    };
    let mut answer = layout::see_other(&address);
    // A cookie that cannot be removed does no harm: it opens nothing.
    let _ = forget(context, &mut answer);
    answer
}

pub(super) fn forget(context: &RequestContext, answer: &mut HttpResponse) -> Result<()> {
    let cookies = &context.site.cookies;
    answer.add_cookie(&cookies.removal(&cookies.half)).map_err(Error::bug)
}

fn next_of(context: &RequestContext, half: Option<&Half>, next: &str) -> Option<String> {
    half.and_then(|half| half.next.clone()).or_else(|| return_to::own_address(&context.site.public, next))
}

/// While the database is away, the page offers every method.
const ANY: Methods = Methods { passkeys: 1, has_app: true, recovery_left: 1 };

async fn methods(context: &RequestContext, half: &Half) -> Result<Methods> {
    let id = half.account_id.clone();
    context.sessions.db.read(async move |conn: &mut Conn<'_>| second_factor::methods(conn, &id).await).await
}

async fn form(
    status: StatusCode,
    context: &RequestContext,
    half: &Half,
    next: &str,
    again: Again,
) -> Result<HttpResponse> {
    let methods = methods(context, half).await?;
    if methods.names().is_empty() {
        // They were removed meanwhile, so the first step is void.
        return Ok(start_again(context, Some(half), next));
    }
    render(status, context, (half, methods), next, again)
}

fn render(
    status: StatusCode,
    context: &RequestContext,
    (half, methods): (&Half, Methods),
    next: &str,
    Again { notice, code_error }: Again,
) -> Result<HttpResponse> {
    let next = half.next.is_none().then(|| return_to::own_address(&context.site.public, next)).flatten();
    context.form(|token| {
        let page = Page::new(&context.req, "One more step");
        let has_passkeys = methods.passkeys > 0 && context.site.passkeys.is_ok() && page.misplaced.is_none();
        let has_codes = methods.has_app || methods.recovery_left > 0;
        let template = SecondPage { page, token, methods, has_passkeys, has_codes, next, notice, code_error };
        layout::answer(status, &template)
    })
}

//! The page `/login`. Called by the routes.
//!
//! Invariant: the page never reveals whether an account exists. The reason why a session ended is shown only to the
//! browser that holds its key.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{
    second,
    visit::{self, let_in, proof},
};
use crate::{
    actions::sign_in::{self, SignedIn},
    base::{
        brand::Brand,
        db::{Conn, Instant},
        error::{EndedBecause, Error, Result},
        settings::Signup,
        text::is_id,
    },
    records::{
        account::{self, EmailAddress},
        app::Apps,
        session::{
            ended::{Ended, Hand},
            request::{PresentedSession, RequestFacts},
        },
    },
    web::{
        context::RequestContext,
        form_again::form_again,
        forms::{Form, NO_COOKIES},
        layout::{self, Page, When},
        return_to,
    },
};

/// Told to a person who has just asked for the deletion of their account.
const LEAVING: &str = "You are signed out, and your account will be deleted in 14 days. If you change your mind, sign in \
                       before then.";
/// Told to a person who took too long for the second step of a sign-in, or whose password or second factor changed.
const EXPIRED: &str = "Signing in took too long, or something about your account changed. Please start again.";
/// Told to a person whose account has just been deleted at their own wish.
const DELETED: &str = "Your account is deleted, with everything that was kept about you.";

/// The fields of the login form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    email: String,
    password: String,
    next: String,
}

/// The query of the login page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    next: String,
    ended: String,
    done: String,
}

#[derive(Template)]
#[template(path = "login/login.html")]
struct LoginPage {
    page: Page,
    /// The address of the sign-up page, if it is open.
    sign_up: Option<String>,
    token: String,
    /// The id of the session that the person just ended. The script then erases what it has stored for that session.
    ended: Option<String>,
    email: String,
    next: Option<String>,
    /// The name of the app that the person goes on to.
    app: Option<String>,
    /// Whether browsers can have passkeys for this service.
    has_passkeys: bool,
    /// What the browser may fill in as the address.
    email_complete: &'static str,
    notice: Option<Notice>,
    email_error: Option<String>,
    password_error: Option<String>,
}

/// A message above the form, which may contain a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Notice {
    before: String,
    /// Shown in brackets.
    when: Option<When>,
    after: &'static str,
}

impl From<String> for Notice {
    fn from(before: String) -> Self {
        Self { before, when: None, after: "" }
    }
}

/// The input and the messages that the form shows.
#[derive(Debug, Clone, Default)]
struct Again {
    ended: Option<String>,
    email: String,
    next: Option<String>,
    notice: Option<Notice>,
    email_error: Option<String>,
    password_error: Option<String>,
}

/// `GET /login`
pub async fn show(query: web::Query<Query>, context: RequestContext) -> Result<HttpResponse> {
    let next = return_to::own_address(&context.site.public, &query.next);
    if context.facts.live().is_some() {
        return Ok(layout::see_other(next.as_deref().unwrap_or(return_to::HOME)));
    }
    if let (Some(_), Some(apps)) = (next.as_deref().and_then(app_id), context.req.app_data::<web::Data<Apps>>()) {
        // So that the form can name the app. An unavailable database is reported when somebody signs in.
        let _ = apps.all().await;
    }
    let Query { ended, done, .. } = query.into_inner();
    let ended = Some(ended).filter(|id| is_id(id));
    let notice = match why_signed_out(&context.facts, context.sessions.clock.now()) {
        _ if done == "leaving" => Some(LEAVING.to_owned().into()),
        _ if done == "expired" => Some(EXPIRED.to_owned().into()),
        _ if done == "deleted" => Some(DELETED.to_owned().into()),
        None if ended.is_some() || done == "signed-out" => Some("You are signed out.".to_owned().into()),
        None => setup_hint(&context).await.map(Notice::from),
        message => message,
    };
    form(StatusCode::OK, &context, Again { ended, next, notice, ..Again::default() })
}

/// `POST /login`
///
/// # Errors
/// None for a wrong password or an unavailable database, which show the form again.
pub async fn submit(sent: Form<Fields>, context: RequestContext) -> Result<HttpResponse> {
    let Fields { email: typed, password, next } = sent.fields;
    let next = return_to::own_address(&context.site.public, &next);
    let again = Again { email: typed, next, ..Again::default() };
    if !sent.is_fresh {
        if context.is_signed_in_as(&again.email) {
            return Ok(layout::see_other(again.next.as_deref().unwrap_or(return_to::HOME)));
        }
        let notice = Some(why_not_fresh(&context, sent.is_without_cookies).into());
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, Again { notice, ..again });
    }
    let email = match EmailAddress::known(&again.email) {
        Ok(email) if !password.is_empty() => email,
        parsed => {
            let email_error = parsed.err().map(|error| error.to_string());
            let password_error = password.is_empty().then(|| "Enter your password.".to_owned());
            return form(StatusCode::UNPROCESSABLE_ENTITY, &context, Again { email_error, password_error, ..again });
        }
    };
    match sign_in(&context, &email, password).await {
        Ok(SignedIn::Yes(welcome)) => {
            let_in(&context, &welcome, layout::see_other(again.next.as_deref().unwrap_or(return_to::HOME)))
        }
        Ok(SignedIn::Half { step, .. }) => second::ask(&context, step.half, again.next),
        Ok(SignedIn::No) => {
            let password_error = Some("Email or password is wrong. Check both and try again.".to_owned());
            form(StatusCode::UNAUTHORIZED, &context, Again { password_error, ..again })
        }
        Err(error @ Error::TooManyAttempts(_)) => {
            form_again(error, |status, words| form(status, &context, Again { password_error: Some(words), ..again }))
        }
        Err(error) => {
            form_again(error, |status, words| form(status, &context, Again { notice: Some(words.into()), ..again }))
        }
    }
}

async fn sign_in(context: &RequestContext, email: &EmailAddress, password: String) -> Result<SignedIn> {
    let proof = proof(context, email, password)?;
    sign_in::sign_in(&context.prover, &context.sessions, proof, None, visit::of(context)).await
}

/// Explains why a form with another browser's token was not carried out.
fn why_not_fresh(context: &RequestContext, is_without_cookies: bool) -> String {
    if is_without_cookies {
        return NO_COOKIES.to_owned();
    }
    match context.facts.live() {
        Some(live) => format!(
            "{} has signed in here in the meantime. To sign in as somebody else instead, type your password again.",
            live.account.name
        ),
        None => "This page had been open for a while. Please sign in again.".to_owned(),
    }
}

fn form(status: StatusCode, context: &RequestContext, again: Again) -> Result<HttpResponse> {
    let Again { ended, email, next, notice, email_error, password_error } = again;
    let app = next.as_deref().and_then(|next| app_name(context, next));
    context.form(|token| {
        let page = Page::new(&context.req, "Sign in");
        let is_open = context.site.signup == Signup::Open && context.site.has_owner();
        let sign_up = is_open.then(|| return_to::address_with_next("/signup", next.as_deref().unwrap_or("/")));
        // Under another address than the public one, the browser refuses.
        let has_passkeys = context.site.passkeys.is_ok() && page.misplaced.is_none();
        let email_complete = if has_passkeys { "username webauthn" } else { "username" };
        let template = LoginPage {
            page,
            sign_up,
            token,
            ended,
            email,
            next,
            app,
            has_passkeys,
            email_complete,
            notice,
            email_error,
            password_error,
        };
        layout::answer(status, &template)
    })
}

/// The id of the app that this address opens.
fn app_id(next: &str) -> Option<&str> {
    let (id, rest) = next.strip_prefix("/apps/")?.split_once('/')?;
    (rest.split('?').next() == Some("open")).then_some(id)
}

/// The name of the app that the person goes on to, if this node has read it.
fn app_name(context: &RequestContext, next: &str) -> Option<String> {
    let apps = context.req.app_data::<web::Data<Apps>>()?.last_known()?;
    apps.by_id(app_id(next)?).map(|app| app.name.clone())
}

/// While there is no owner and nobody can sign in, explains where to find the setup link.
async fn setup_hint(context: &RequestContext) -> Option<String> {
    if context.site.has_owner() {
        return None;
    }
    // An unavailable database is reported when somebody signs in.
    let has_owner = context.sessions.db.read(async |conn: &mut Conn<'_>| account::has_owner(conn).await).await.ok()?;
    if has_owner {
        context.site.set_has_owner();
        return None;
    }
    Some(format!(
        "There is no owner yet, so nobody can sign in. The program printed a link that creates the owner when it \
         started (in its terminal, or in `docker logs` or `journalctl`); it begins with {}/setup.",
        context.site.public.origin()
    ))
}

/// The message for a browser whose session has ended.
fn why_signed_out(facts: &RequestFacts, now: Instant) -> Option<Notice> {
    let PresentedSession::Ended(ended) = *facts.session.borrow() else {
        return None;
    };
    notice_of(ended, now)
}

fn notice_of(Ended { because, at, hand }: Ended, now: Instant) -> Option<Notice> {
    let (before, after) = match (because, hand) {
        (EndedBecause::Expired, _) => {
            return Some("You have not been here for a while, so please sign in again.".to_owned().into());
        }
        (EndedBecause::LoggedOut | EndedBecause::Unknown, _) => return None,
        (EndedBecause::Replaced, _) => ("Somebody else signed in here", "."),
        (EndedBecause::Revoked, Hand::Elsewhere) => ("You were signed out from another device", "."),
        (EndedBecause::Revoked, Hand::NewPassword) => {
            ("The password was changed", ". Please sign in with the new one.")
        }
        (EndedBecause::Revoked, Hand::Operator) => ("You were signed out by the administrator", "."),
        (EndedBecause::Revoked, Hand::OperatorsPassword) => {
            ("The password was changed by the administrator", ". Please sign in with the new one.")
        }
        (EndedBecause::Revoked, Hand::Closed) => ("This account was disabled by the administrator", "."),
        (EndedBecause::Revoked, Hand::Limit) => {
            ("You were signed out", ", because the account is signed in on too many devices.")
        }
        (EndedBecause::Revoked, Hand::None) => ("You were signed out", ". Please sign in again."),
    };
    Some(Notice { before: before.to_owned(), when: at.map(|at| When::clock(at, now)), after })
}

/// A page with made-up content, for `benches/`.
#[doc(hidden)]
pub fn sample() -> impl Template {
    LoginPage {
        page: Page::bare(Brand::default(), "Sign in"),
        sign_up: Some("/signup".to_owned()),
        token: "t".repeat(43),
        ended: None,
        email: "kim@example.com".to_owned(),
        next: Some("/devices".to_owned()),
        app: None,
        has_passkeys: true,
        email_complete: "username webauthn",
        notice: Some("You have not been here for a while, so please sign in again.".to_owned().into()),
        email_error: None,
        password_error: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{audit, session::EndReason};

    #[test]
    fn the_login_explains_who_ended_the_session_and_why() {
        let now = Instant::from_micros(1_795_460_400_000_000);
        let message = |reason, by: &str| {
            let notice = notice_of(Ended::by(reason, Some(by), now), now).unwrap_or_default();
            format!("{}{}{}", notice.before, if notice.when.is_some() { " (…)" } else { "" }, notice.after)
        };
        let cases = [
            (message(EndReason::Revoked, "acc_kim"), "You were signed out from another device (…)."),
            (message(EndReason::Revoked, audit::OPERATOR), "You were signed out by the administrator (…)."),
            (message(EndReason::Revoked, audit::SYSTEM), "because the account is signed in on too many devices"),
            (message(EndReason::PasswordChanged, "acc_kim"), "The password was changed (…). Please"),
            (
                message(EndReason::PasswordChanged, audit::OPERATOR),
                "The password was changed by the administrator (…). Please",
            ),
            (
                message(EndReason::AccountDisabled, audit::OPERATOR),
                "This account was disabled by the administrator (…).",
            ),
            (message(EndReason::Replaced, "acc_alex"), "Somebody else signed in here (…)."),
            (message(EndReason::Expired, audit::SYSTEM), "You have not been here for a while"),
        ];
        for (words, expected) in cases {
            assert!(words.contains(expected), "{words}");
        }
        assert_eq!(message(EndReason::LoggedOut, "acc_kim"), "");
    }
}

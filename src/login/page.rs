//! The pages for signing in and out.

use actix_session::Session;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use askama::Template;
use serde::Deserialize;

use super::rule::{LoginRule, Outcome, Visit};
use crate::{
    account::EmailAddress,
    db::Instant,
    error::{EndedBecause, Error, Result},
    failure,
    page::{self, Page, When},
    security::{
        Site,
        forms::{self, Form},
    },
    session::{
        Sessions,
        current::{self, Facts},
        guard,
        request::{Ended, Presented, RequestFacts, Standing},
    },
};

/// What the login form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    email: String,
    password: String,
    next: String,
}

/// What may stand in the address of the login.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    next: String,
}

#[derive(Template)]
#[template(path = "login/login.html")]
struct LoginPage {
    page: Page,
    token: String,
    email: String,
    next: Option<String>,
    notice: Option<String>,
    email_error: Option<String>,
    password_error: Option<String>,
}

/// What is wrong with a form, beside its fields.
#[derive(Debug, Default)]
struct Complaint {
    notice: Option<String>,
    email: Option<String>,
    password: Option<String>,
}

/// `GET /login`
///
/// # Errors
/// When a template fails.
pub async fn show(
    req: HttpRequest,
    query: web::Query<Query>,
    facts: Facts,
    site: web::Data<Site>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse> {
    let next = guard::own_address(&site.public, &query.next);
    if facts.live().is_some() {
        return Ok(page::see_other(next.as_deref().unwrap_or(guard::HOME)));
    }
    let complaint = Complaint { notice: why_signed_out(&facts, sessions.clock.now()), ..Complaint::default() };
    form(StatusCode::OK, &req, &site, String::new(), next, complaint)
}

/// `POST /login`
///
/// # Errors
/// When the database is away or too many passwords wait to be checked.
pub async fn submit(
    req: HttpRequest,
    sent: Form<Fields>,
    facts: Facts,
    session: Session,
    site: web::Data<Site>,
    rule: web::Data<LoginRule>,
) -> Result<HttpResponse> {
    let Fields { email: typed, password, next } = sent.fields;
    let next = guard::own_address(&site.public, &next);
    let again = |status, complaint| form(status, &req, &site, typed.clone(), next.clone(), complaint);
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please sign in once more.".to_owned());
        return again(StatusCode::UNPROCESSABLE_ENTITY, Complaint { notice, ..Complaint::default() });
    }
    let email = EmailAddress::parse(&typed);
    let (email, password) = match (email, password.is_empty()) {
        (Ok(email), false) => (email, password),
        (email, empty) => {
            let complaint = Complaint {
                email: email.err().map(|error| error.to_string()),
                password: empty.then(|| "Enter your password.".to_owned()),
                notice: None,
            };
            return again(StatusCode::UNPROCESSABLE_ENTITY, complaint);
        }
    };
    let outcome = match rule.log_in(&email, password, Visit::new(&req, &facts, &site)).await {
        Ok(outcome) => outcome,
        Err(error) => {
            return failure::form_again(error, |status, words| {
                again(status, Complaint { notice: Some(words.to_owned()), ..Complaint::default() })
            });
        }
    };
    match outcome {
        Outcome::Refused => {
            let password = Some("Email or password is wrong. Check both and try again.".to_owned());
            again(StatusCode::UNAUTHORIZED, Complaint { password, ..Complaint::default() })
        }
        Outcome::Welcome(welcome) => {
            let mut answer = page::see_other(next.as_deref().unwrap_or(guard::HOME));
            welcome.finish(&session, &site, &mut answer)?;
            Ok(answer)
        }
    }
}

fn form(
    status: StatusCode,
    req: &HttpRequest,
    site: &Site,
    email: String,
    next: Option<String>,
    complaint: Complaint,
) -> Result<HttpResponse> {
    let token = forms::token(site, req)?;
    let template = LoginPage {
        page: Page::new(req, "Sign in"),
        token: token.value,
        email,
        next,
        notice: complaint.notice,
        email_error: complaint.email,
        password_error: complaint.password,
    };
    let mut answer = page::answer(status, &template)?;
    if let Some(cookie) = token.cookie {
        answer.add_cookie(&cookie).map_err(Error::bug)?;
    }
    Ok(answer)
}

/// What the browser of a session that has ended is told.
fn why_signed_out(facts: &RequestFacts, now: Instant) -> Option<String> {
    let Standing::Ended(Ended { because, at }) = *facts.standing.borrow() else {
        return None;
    };
    let when = at.map(|at| {
        let said = When::clock(at, now).text;
        if said.contains(' ') { format!(" ({said})") } else { format!(" at {said}") }
    });
    let when = when.unwrap_or_default();
    Some(match because {
        EndedBecause::Expired => "You have not been here for a while, so please sign in again.".to_owned(),
        EndedBecause::Revoked => format!("You were signed out{when}. Please sign in again."),
        EndedBecause::Replaced => format!("Somebody else signed in here{when}."),
        EndedBecause::LoggedOut | EndedBecause::Unknown => return None,
    })
}

#[derive(Template)]
#[template(path = "login/sign_out.html")]
struct SignOutPage {
    page: Page,
    token: String,
}

/// `POST /logout`
///
/// # Errors
/// When the database is away: nothing is claimed that did not happen.
pub async fn log_out(
    req: HttpRequest,
    sent: Form<NoFields>,
    facts: Facts,
    session: Session,
    site: web::Data<Site>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse> {
    let mut answer = page::see_other("/login");
    if facts.live().is_none() {
        forget_cookie(&facts, &site, &mut answer)?;
        return Ok(answer);
    }
    if !sent.is_fresh {
        let token = forms::token(&site, &req)?;
        let template = SignOutPage { page: Page::new(&req, "Sign out"), token: token.value };
        return page::answer(StatusCode::UNPROCESSABLE_ENTITY, &template);
    }
    end_this(&facts, &sessions).await?;
    current::finish_logout(&session);
    clear_cache(&mut answer);
    Ok(answer)
}

/// A form without fields of its own.
#[derive(Debug, Deserialize)]
pub struct NoFields {}

/// Ends the session of this request; whether it lived.
///
/// # Errors
/// When the database is away.
pub(super) async fn end_this(facts: &RequestFacts, sessions: &Sessions) -> Result<bool> {
    let Presented::Key(key) = &facts.presented else {
        return Ok(false);
    };
    sessions.log_out(key, facts.ip.clone()).await
}

/// What a browser has cached of a person goes with the login (Clear-Site-Data, 3.1).
pub(super) fn clear_cache(answer: &mut HttpResponse) {
    answer
        .headers_mut()
        .insert(header::HeaderName::from_static("clear-site-data"), header::HeaderValue::from_static("\"cache\""));
}

fn forget_cookie(facts: &RequestFacts, site: &Site, answer: &mut HttpResponse) -> Result<()> {
    if matches!(facts.presented, Presented::Nothing) {
        return Ok(());
    }
    clear_cache(answer);
    answer.add_cookie(&site.cookies.removal(&site.cookies.session)).map_err(Error::bug)
}

//! The password again, from somebody who is signed in: for what should not be done by whoever finds a screen unlocked.
//! It goes on with what was asked.
//!
//! Invariant: whoever gives the password gets a new key, and the old one stops working in the same instant.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    account::{EmailAddress, proof},
    audit::{self, Kind},
    db::Conn,
    desk::{Desk, form_again},
    error::{Error, Result},
    page::{self, Page},
    security::forms::{self, Form},
    session::{CurrentUser, SessionKey, guard, request::Presented, statements},
};

/// Where to go on to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    next: String,
}

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    password: String,
    next: String,
}

#[derive(Template)]
#[template(path = "login/confirm.html")]
struct ConfirmPage {
    page: Page,
    token: String,
    email: String,
    next: Option<String>,
    notice: Option<String>,
    password_error: Option<String>,
}

/// The form as it is shown again.
#[derive(Debug, Default)]
struct Again {
    next: Option<String>,
    notice: Option<String>,
    password_error: Option<String>,
}

/// `GET /confirm`
///
/// # Errors
/// Without a login.
pub async fn show(query: web::Query<Query>, user: CurrentUser, desk: Desk) -> Result<HttpResponse> {
    let next = guard::own_address(&desk.site.public, &query.next);
    form(StatusCode::OK, &desk, &user, Again { next, ..Again::default() })
}

/// `POST /confirm`
///
/// # Errors
/// Without a login. A wrong password, too many of them and a database that is away show the form again.
pub async fn submit(sent: Form<Fields>, user: CurrentUser, desk: Desk) -> Result<HttpResponse> {
    let Fields { password, next } = sent.fields;
    let again = Again { next: guard::own_address(&desk.site.public, &next), ..Again::default() };
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please type your password once more.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, &desk, &user, Again { notice, ..again });
    }
    if password.is_empty() {
        let password_error = Some("Enter your password.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, &desk, &user, Again { password_error, ..again });
    }
    match confirm(&desk, &user, password).await {
        Ok(Confirmed::Yes(key)) => {
            desk.hand_over(&key, &user.account.id)?;
            Ok(page::see_other(again.next.as_deref().unwrap_or(guard::HOME)))
        }
        Ok(Confirmed::Ended) => Err(desk.ended_meanwhile().await?),
        Ok(Confirmed::No) => {
            let password_error = Some("That is not your password. Try again.".to_owned());
            form(StatusCode::UNAUTHORIZED, &desk, &user, Again { password_error, ..again })
        }
        Err(error @ Error::TooManyAttempts(_)) => form_again(error, |status, words| {
            form(status, &desk, &user, Again { password_error: Some(words), ..again })
        }),
        Err(error) => {
            form_again(error, |status, words| form(status, &desk, &user, Again { notice: Some(words), ..again }))
        }
    }
}

enum Confirmed {
    /// With the session's new key.
    Yes(SessionKey),
    No,
    /// The session ended meanwhile.
    Ended,
}

async fn confirm(desk: &Desk, user: &CurrentUser, password: String) -> Result<Confirmed> {
    let Presented::Key(old) = desk.facts.presented.clone() else {
        return Ok(Confirmed::Ended);
    };
    let new = SessionKey::generate(desk.sessions.clock.now())?;
    let (prover, claim) = (desk.prover.clone(), desk.claim(&EmailAddress::parse(&user.account.email)?));
    let confirmed = user.event(Kind::LoginConfirmed).ip(desk.facts.ip.as_deref()).session(new.id());
    proof::to_the_end(async move {
        let checked = prover.check(claim, password).await?;
        let work = async move |conn: &mut Conn<'_>| {
            if !checked.settle(conn).await? {
                return Ok(Confirmed::No);
            }
            if !statements::rekey(conn, &old, &new).await? {
                return Ok(Confirmed::Ended);
            }
            let rotated = confirmed.clone().about(Kind::SessionRegenerated).detail(&format!("was {}", old.id()));
            audit::record(conn, &[confirmed, rotated]).await?;
            Ok(Confirmed::Yes(new))
        };
        prover.db.write(work).await
    })
    .await
}

fn form(status: StatusCode, desk: &Desk, user: &CurrentUser, again: Again) -> Result<HttpResponse> {
    let Again { next, notice, password_error } = again;
    let token = forms::token(&desk.site, &desk.req)?;
    let page = Page::new(&desk.req, "Your password, please");
    let email = user.account.email.clone();
    page::answer(status, &ConfirmPage { page, token: token.value, email, next, notice, password_error })
}

//! The page `/account/email`: changes the person's e-mail address. Where this instance sends mail, the new address counts
//! only once the person has used the link that is mailed to it. Called by the routes.
//!
//! Invariant: a change needs a recent confirmation, with a second factor if the account has one. Without a second factor the
//! password in the same form will do.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    actions::person::address::{self, Given},
    base::error::{Error, Result},
    records::{account::EmailAddress, session::CurrentUser},
    web::{
        confirmed::{Confirmation, confirmed, explained, of_session},
        context::RequestContext,
        forms::Form,
        layout::{self, Page},
        return_to,
    },
};

/// The page itself, to come back to.
const ADDRESS: &str = "/account/email";
/// The page that asks for the password and the second factor.
const CONFIRM: &str = "/confirm";

/// What was typed before the second factor had to be given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    new_email: String,
}

/// The fields of the form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    new_email: String,
    current_password: String,
}

#[derive(Template)]
#[template(path = "account_page/email.html")]
struct EmailPage {
    page: Page,
    token: String,
    email: String,
    typed: String,
    by_mail: bool,
    asks_password: bool,
    notice: Option<&'static str>,
    email_error: Option<String>,
    password_error: Option<String>,
}

/// Why the form is shown again.
#[derive(Default)]
struct Again {
    typed: String,
    notice: Option<&'static str>,
    email_error: Option<String>,
    password_error: Option<String>,
    session_id: Option<String>,
}

/// `GET /account/email`
pub async fn show(query: web::Query<Query>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let typed = query.into_inner().new_email;
    if user.lacks_second_factor() {
        return Ok(confirm_first(&typed));
    }
    draw(StatusCode::OK, (&context, &user), Again { typed, ..Again::default() })
}

/// Leads to the confirmation, and back with what was typed.
fn confirm_first(typed: &str) -> HttpResponse {
    let encoded: String = url::form_urlencoded::byte_serialize(typed.as_bytes()).collect();
    let back = if typed.is_empty() { ADDRESS.to_owned() } else { format!("{ADDRESS}?new_email={encoded}") };
    layout::see_other(&return_to::second_confirmation(CONFIRM, &back))
}

/// `POST /account/email`
pub async fn submit(sent: Form<Fields>, user: Result<CurrentUser>, context: RequestContext) -> Result<HttpResponse> {
    let user = match user {
        Ok(user) => user,
        Err(error) => return context.go_on_by_login(error, ADDRESS),
    };
    let Fields { new_email: typed, current_password } = sent.fields;
    if user.lacks_second_factor() {
        return Ok(confirm_first(&typed));
    }
    let refuse = |status, again| draw(status, (&context, &user), Again { typed: typed.clone(), ..again });
    let with_error = |words: String| Again { email_error: Some(words), ..Again::default() };
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.");
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, Again { notice, ..Again::default() });
    }
    let email = match EmailAddress::parse(&typed) {
        Ok(email) => email,
        Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, with_error(error.to_string())),
    };
    let Confirmation { acting, session_id, .. } = match confirmed(&context, &user, &current_password).await? {
        Ok(confirmation) => confirmation,
        Err(not) => return refuse(not.status, Again { password_error: Some(not.words), ..Again::default() }),
    };
    let (db, letters, ip) = (&context.sessions.db, &context.sessions.letters, context.facts.ip.as_deref());
    let refuse = |status, words: &str| refuse(status, Again { session_id, ..with_error(words.to_owned()) });
    let email_text = typed.as_str();
    match address::own(db, letters, (&user, acting), (email, ip)).await {
        Ok(Some(Given::Now)) => Ok(layout::see_other("/account?done=email")),
        Ok(Some(Given::OnceVerified)) => Ok(layout::see_other("/account?done=email-asked")),
        Ok(Some(Given::Same)) => refuse(StatusCode::UNPROCESSABLE_ENTITY, "This is your address already."),
        Ok(Some(Given::Taken)) => {
            refuse(StatusCode::UNPROCESSABLE_ENTITY, "There is already an account with this address.")
        }
        Ok(None) => Err(context.ended_meanwhile().await?),
        Err(Error::ConfirmationRequired) => Ok(confirm_first(email_text)),
        Err(Error::TooManyAttempts(_)) => {
            refuse(StatusCode::TOO_MANY_REQUESTS, "Too many new addresses within an hour. Try again later.")
        }
        Err(error) => Err(explained(&context, error).await?),
    }
}

fn draw(status: StatusCode, (context, user): (&RequestContext, &CurrentUser), again: Again) -> Result<HttpResponse> {
    let asks_password = !user.is_confirmed() && again.session_id.is_none();
    context.form(|token| {
        let template = EmailPage {
            page: of_session(Page::new(&context.req, "Your email address"), again.session_id.clone()),
            token,
            email: user.account.email.clone(),
            typed: again.typed.clone(),
            by_mail: context.sessions.letters.is_on(),
            asks_password,
            notice: again.notice,
            email_error: again.email_error.clone(),
            password_error: again.password_error.clone(),
        };
        layout::answer(status, &template)
    })
}

//! The page `/account`: the person's display name and password. Both forms are submitted to the page itself, which
//! tells them apart by their fields. Called by the routes.
//!
//! Invariant: changing the password requires the current password, and a second factor that was given recently if the
//! account has one. It gives this session a new key.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    actions::{
        password::{ChangedPassword, PasswordChange, change_password},
        password_proof::Proof,
        profile,
    },
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account::{self, EmailAddress},
        session::CurrentUser,
        session::arrivals::{self, Arrivals},
    },
    web::{
        context::RequestContext,
        form_again::{Lost, TooMany, form_again_after},
        forms::{self, Form},
        layout::{self, Page, When},
        rates::Act,
        return_to,
    },
};

/// The page itself, to come back to.
const ACCOUNT: &str = "/account";
/// The page that asks for the password and the second factor.
const CONFIRM: &str = "/confirm";

/// The action to report as done, and the reason why the person was sent here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    done: String,
    why: String,
}

/// The fields of both forms.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    name: Option<String>,
    current_password: Option<String>,
    password: String,
    end_others: String,
}

#[derive(Template)]
#[template(path = "account_page/account.html")]
struct AccountPage {
    page: Page,
    token: String,
    email: String,
    since: Option<When>,
    /// How long a new password must be.
    password_hint: String,
    /// The page that asks for the second factor, if it must be given before the password can be changed.
    confirm_first: Option<String>,
    has_second_factor: bool,
    again: Again,
}

/// The messages and input that the page shows.
#[derive(Debug, Default)]
struct Again {
    done: Option<&'static str>,
    notice: Option<String>,
    name: String,
    name_error: Option<String>,
    current_error: Option<String>,
    password_error: Option<String>,
    keep_others: bool,
}

/// `GET /account`
pub async fn show(query: web::Query<Query>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let done = match query.done.as_str() {
        "name" => Some("Your name was changed."),
        "email" => Some("Your email address was changed."),
        "email-asked" => Some("We mailed a link to the new address. It counts once you have used the link."),
        "password" => Some("Your password was changed."),
        "password-everywhere" => Some("Your password was changed, and you are signed out everywhere else."),
        _ => None,
    };
    let notice = (query.why == "not-me").then(|| {
        "That device is signed out and removed. Whoever used it may know your password, so choose a new one now."
            .to_owned()
    });
    let name = user.account.name.clone();
    form(StatusCode::OK, &context, &user, Again { done, notice, name, ..Again::default() }).await
}

/// `POST /account`
///
/// # Errors
/// [`Error::Invalid`] if the form has neither field. Bad input, a wrong password, too many attempts and an unavailable
/// database show the page again.
pub async fn submit(sent: Form<Fields>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let Fields { name, current_password, password, end_others } = sent.fields;
    let keep_others = current_password.is_some() && matches!(end_others.as_str(), "" | "0" | "false" | "off");
    let again =
        Again { name: name.clone().unwrap_or_else(|| user.account.name.clone()), keep_others, ..Again::default() };
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, &user, Again { notice, ..again }).await;
    }
    match (name, current_password) {
        (_, Some(_)) if user.lacks_second_factor() => {
            Ok(layout::see_other(&return_to::second_confirmation(CONFIRM, ACCOUNT)))
        }
        (_, Some(current)) => replace_password(&context, &user, again, Passwords { current, new: password }).await,
        (Some(_), None) => rename(&context, &user, again).await,
        (None, None) => Err(Error::Invalid("neither a name nor a password was sent".into())),
    }
}

async fn rename(context: &RequestContext, user: &CurrentUser, again: Again) -> Result<HttpResponse> {
    let checked = account::display_name(&again.name).and_then(|name| match name.is_empty() {
        true => Err(Error::Invalid("Enter your name.".into())),
        false => Ok(name),
    });
    let name = match checked {
        Ok(name) => name,
        Err(error) => {
            let name_error = Some(error.to_string());
            return form(StatusCode::UNPROCESSABLE_ENTITY, context, user, Again { name_error, ..again }).await;
        }
    };
    if let Err(error) = context.count(Act::Change, user, 1) {
        return shown_again(error, context, user, again, Lost::Nothing);
    }
    match profile::rename(&context.sessions.db, user, name, context.facts.ip.as_deref()).await {
        Ok(Some(())) => Ok(layout::see_other("/account?done=name")),
        Ok(None) => Err(context.ended_meanwhile().await?),
        Err(error) => shown_again(error, context, user, again, Lost::Nothing),
    }
}

struct Passwords {
    current: String,
    new: String,
}

async fn replace_password(
    context: &RequestContext,
    user: &CurrentUser,
    again: Again,
    passwords: Passwords,
) -> Result<HttpResponse> {
    let Passwords { current, new } = passwords;
    if current.is_empty() {
        let current_error = Some("Enter the password you have now.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, context, user, Again { current_error, ..again }).await;
    }
    if let Err(error) = context.prover.hasher.lengths.check(&new, user.account.has_second_factor()) {
        let password_error = Some(error.to_string());
        return form(StatusCode::UNPROCESSABLE_ENTITY, context, user, Again { password_error, ..again }).await;
    }
    if new == current {
        let password_error = Some("Choose a different password than the one you have now.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, context, user, Again { password_error, ..again }).await;
    }
    match check_and_replace(context, user, Passwords { current, new }, !again.keep_others).await {
        Ok(ChangedPassword::Yes(key)) => {
            context.hand_over(&key, &user.account.id)?;
            let done = if again.keep_others { "password" } else { "password-everywhere" };
            Ok(layout::see_other(&format!("/account?done={done}")))
        }
        Ok(ChangedPassword::WrongPassword) => {
            let current_error = Some("That is not the password you have now. Try again.".to_owned());
            form(StatusCode::UNAUTHORIZED, context, user, Again { current_error, ..again }).await
        }
        Ok(ChangedPassword::NotChosen(Error::Invalid(words))) => {
            let password_error = Some(words);
            form(StatusCode::UNPROCESSABLE_ENTITY, context, user, Again { password_error, ..again }).await
        }
        Ok(ChangedPassword::SessionEnded) => Err(context.ended_meanwhile().await?),
        // The confirmation has run out meanwhile.
        Err(Error::ConfirmationRequired) => Ok(layout::see_other(&return_to::second_confirmation(CONFIRM, ACCOUNT))),
        Ok(ChangedPassword::NotChosen(error)) | Err(error) => shown_again(error, context, user, again, Lost::Password),
    }
}

async fn check_and_replace(
    context: &RequestContext,
    user: &CurrentUser,
    Passwords { current, new }: Passwords,
    end_others: bool,
) -> Result<ChangedPassword> {
    let Some(key) = context.facts.presented_key() else {
        return Ok(ChangedPassword::SessionEnded);
    };
    let rate = context.password_rate(Act::NewPassword, &EmailAddress::known(&user.account.email)?)?;
    let proof =
        Proof { claim: context.claim_again(user)?, password: current, on_right: Box::new(move || rate.charge()) };
    let change = PasswordChange { user: user.clone(), key, new, end_others, ip: context.facts.ip.clone() };
    change_password(&context.prover, &context.sessions, proof, change).await
}

/// Shows the page again after an error that the input did not cause. Keeps the input.
fn shown_again(
    error: Error,
    context: &RequestContext,
    user: &CurrentUser,
    again: Again,
    lost: Lost,
) -> Result<HttpResponse> {
    let too_many = matches!(error, Error::TooManyAttempts(_));
    form_again_after(error, TooMany::WrongPasswords, lost, |status, words| {
        let again = match too_many {
            true => Again { current_error: Some(words), ..again },
            false => Again { notice: Some(words), ..again },
        };
        answer(status, context, user, None, again)
    })
}

async fn form(status: StatusCode, context: &RequestContext, user: &CurrentUser, again: Again) -> Result<HttpResponse> {
    let who = user.who();
    let read = async move |conn: &mut Conn<'_>| arrivals::list(conn, &who.account_id, who.device_id.as_deref()).await;
    let arrivals = context.sessions.db.read(read).await?;
    answer(status, context, user, Some(arrivals), again)
}

fn answer(
    status: StatusCode,
    context: &RequestContext,
    user: &CurrentUser,
    arrivals: Option<Arrivals>,
    again: Again,
) -> Result<HttpResponse> {
    let since = Some(When::past(user.password_changed_at, user.now));
    let arrivals = arrivals.unwrap_or_default();
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, "Account").of(&user.account, &token, "account");
    let page = page.asking(&context.req, &arrivals, user.now);
    let here = context.req.uri().path_and_query().map_or(ACCOUNT, |here| here.as_str());
    let has_second_factor = user.account.has_second_factor();
    let template = AccountPage {
        page,
        token: token.value,
        email: user.account.email.clone(),
        since,
        confirm_first: user.lacks_second_factor().then(|| return_to::second_confirmation(CONFIRM, here)),
        has_second_factor,
        password_hint: context.prover.hasher.lengths.in_words(has_second_factor),
        again,
    };
    layout::answer(status, &template)
}

//! The pages `/account/security/app`, which sets an authenticator app up, and `/account/security/app/remove`, which asks
//! before it is removed. Called by the routes.
//!
//! Invariant: without a recent confirmation these pages show no secret and change nothing. They lead to the confirmation.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{
    OVERVIEW, STALE, confirm_first, next_of,
    shown::{self, Made, unstored},
    with_next,
};
use crate::{
    actions::second_factor::{
        last::Kept,
        manage::{self, Added, NewApp, Removed},
    },
    base::{
        db::Conn,
        error::{Error, Result},
        totp,
    },
    records::{second_factor::app, session::CurrentUser},
    web::{
        context::RequestContext,
        form_again::{Lost, TooMany, form_again_after},
        forms::{self, Form},
        layout::{self, Page},
        qr::Qr,
        rates::Act,
    },
};

const ADD: &str = "/account/security/app";
const REMOVE: &str = "/account/security/app/remove";

/// Where the person goes on to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    next: String,
}

/// The fields of the form that adds the app.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    code: String,
    next: String,
}

/// The form that removes the app has no fields but its token.
#[derive(Debug, Default, Deserialize)]
pub struct Nothing {}

#[derive(Template)]
#[template(path = "security/app.html")]
struct AppPage {
    page: Page,
    token: String,
    qr: Qr,
    /// In groups of four.
    key: String,
    /// Opens an app on this phone.
    uri: String,
    next: Option<String>,
    notice: Option<String>,
    code_error: Option<String>,
}

#[derive(Template)]
#[template(path = "security/remove_app.html")]
struct RemovePage {
    page: Page,
    token: String,
    is_last: bool,
    notice: Option<&'static str>,
    /// Why the app stays.
    kept: Option<Kept>,
}

/// What the form says.
#[derive(Debug, Default)]
struct Again {
    notice: Option<String>,
    code_error: Option<String>,
}

/// `GET /account/security/app`
pub async fn show(query: web::Query<Query>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let next = next_of(&context, &query.next);
    if !user.may_change_proofs() {
        return Ok(confirm_first(&with_next(ADD, next.as_deref())));
    }
    form(StatusCode::OK, (&context, &user), next, Again::default()).await
}

/// `POST /account/security/app`
///
/// # Errors
/// None for a wrong code, too many codes or an unavailable database, which show the form again.
pub async fn submit(sent: Form<Fields>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let Fields { code, next } = sent.fields;
    let next = next_of(&context, &next);
    // A form that is sent twice finds the factor that it has just added, and still gets its answer.
    let may_see_secret = user.may_change_proofs();
    if !may_see_secret && (!sent.is_fresh || code.trim().is_empty()) {
        return Ok(confirm_first(&with_next(ADD, next.as_deref())));
    }
    let refuse = |again| form(StatusCode::UNPROCESSABLE_ENTITY, (&context, &user), next.clone(), again);
    if !sent.is_fresh {
        return refuse(Again { notice: Some(STALE.to_owned()), ..Again::default() }).await;
    }
    if code.trim().is_empty() {
        let code_error = Some("Enter the code that the app shows.".to_owned());
        return refuse(Again { code_error, ..Again::default() }).await;
    }
    match add(&context, &user, code).await {
        Ok(Some(Added::Yes(Some(codes)))) => shown::codes(&context, &user, &codes, (Made::WithFactor, next)),
        Ok(Some(Added::Again(codes))) => shown::codes(&context, &user, &codes, (Made::Again, next)),
        Ok(Some(Added::Yes(None))) => Ok(done("app", next)),
        Ok(Some(Added::Exists)) => Ok(done("app-exists", next)),
        Ok(Some(Added::Wrong(why))) => refuse(Again { code_error: Some(why.in_words()), ..Again::default() }).await,
        Ok(None) => Err(context.ended_meanwhile().await?),
        Err(Error::ConfirmationRequired) => Ok(confirm_first(&with_next(ADD, next.as_deref()))),
        Err(error) if !may_see_secret => Err(error),
        Err(error) => {
            let Some(new) = manage::new_app(&context.sessions, &user).await? else {
                return Ok(done("app-exists", next));
            };
            form_again_after(error, TooMany::Codes, Lost::Nothing, |status, words| {
                let again = match status {
                    StatusCode::TOO_MANY_REQUESTS => Again { code_error: Some(words), ..Again::default() },
                    _ => Again { notice: Some(words), ..Again::default() },
                };
                draw(status, (&context, &user), (&new, next), again)
            })
        }
    }
}

async fn add(context: &RequestContext, user: &CurrentUser, code: String) -> Result<Option<Added>> {
    context.count(Act::Change, user, 1)?;
    let (claim, ip) = (context.claim_again(user)?, context.facts.ip.as_deref());
    manage::add_app(&context.sessions, (user, claim), (code, true), ip).await
}

/// Leads to the overview, which says what was done.
fn done(what: &str, next: Option<String>) -> HttpResponse {
    let address = format!("{OVERVIEW}?done={what}");
    let next: String = url::form_urlencoded::byte_serialize(next.unwrap_or_default().as_bytes()).collect();
    layout::see_other(&if next.is_empty() { address } else { format!("{address}&next={next}") })
}

async fn form(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    next: Option<String>,
    again: Again,
) -> Result<HttpResponse> {
    match manage::new_app(&context.sessions, user).await? {
        Some(new) => draw(status, (context, user), (&new, next), again),
        None => Ok(done("app-exists", next)),
    }
}

fn draw(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    (new, next): (&NewApp, Option<String>),
    Again { notice, code_error }: Again,
) -> Result<HttpResponse> {
    let uri = totp::key_uri(&new.secret, &context.site.brand.name, &user.account.email);
    let token = forms::token(&context.site, &context.req)?;
    let template = AppPage {
        page: Page::new(&context.req, "Set up an authenticator app").of(&user.account, &token, "account"),
        token: token.value,
        qr: Qr::draw(&uri)?,
        key: totp::key_in_groups(&new.secret),
        uri,
        next,
        notice,
        code_error,
    };
    layout::answer(status, &template).map(unstored)
}

/// `GET /account/security/app/remove`
pub async fn ask_removal(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let id = user.account.id.clone();
    if !context.sessions.db.read(async move |conn: &mut Conn<'_>| app::exists(conn, &id).await).await? {
        return Ok(layout::see_other(OVERVIEW));
    }
    if !user.may_change_proofs() {
        return Ok(confirm_first(REMOVE));
    }
    ask(StatusCode::OK, (&context, &user), None, None)
}

/// `POST /account/security/app/remove`
pub async fn remove(sent: Form<Nothing>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    if !user.may_change_proofs() {
        return Ok(confirm_first(REMOVE));
    }
    if !sent.is_fresh {
        return ask(StatusCode::UNPROCESSABLE_ENTITY, (&context, &user), Some(STALE), None);
    }
    context.count(Act::Change, &user, 1)?;
    match manage::remove_app(&context.sessions, &user, context.facts.ip.as_deref()).await {
        Ok(Some(Removed::Yes)) => Ok(layout::see_other(&format!("{OVERVIEW}?done=app-removed"))),
        Ok(Some(Removed::None)) => Ok(layout::see_other(OVERVIEW)),
        Ok(Some(Removed::Kept(kept))) => ask(StatusCode::CONFLICT, (&context, &user), None, Some(kept)),
        Ok(None) => Err(context.ended_meanwhile().await?),
        Err(Error::ConfirmationRequired) => Ok(confirm_first(REMOVE)),
        Err(error) => Err(error),
    }
}

fn ask(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    notice: Option<&'static str>,
    kept: Option<Kept>,
) -> Result<HttpResponse> {
    context.form(|token| {
        let page = Page::new(&context.req, "Remove the authenticator app");
        let is_last = user.account.second_factors <= 1;
        layout::answer(status, &RemovePage { page, token, is_last, notice, kept })
    })
}

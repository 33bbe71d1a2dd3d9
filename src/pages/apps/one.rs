//! The page `/apps/{id}` for admins: the set-up of an app, its settings, and the ways to close it. Called by the routes.
//!
//! Invariant: the page shows no secret.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{
    fields::{AppFields, Wrong},
    set_up::{Places, SetUp},
};
use crate::{
    actions::apps::manage,
    base::{
        db::Conn,
        error::{Error, Result},
        text::is_id,
    },
    records::{
        app::statements,
        session::{CurrentUser, arrivals},
    },
    web::{
        admin::Admin,
        confirmed::{Confirmation, confirmed, explained, of_session},
        context::RequestContext,
        forms::{self, Form},
        layout::{self, Page},
    },
};

/// The action to report as done.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    done: String,
}

#[derive(Template)]
#[template(path = "apps/one.html")]
struct OnePage {
    page: Page,
    token: String,
    email: String,
    done: Option<&'static str>,
    notice: Option<&'static str>,
    id: String,
    name: String,
    href: String,
    host: String,
    is_enabled: bool,
    observes: bool,
    /// How many requests the gate would have refused.
    refused: i64,
    typed: AppFields,
    wrong: Wrong,
    asks_password: bool,
    set_up: SetUp,
}

/// What the page shows beside the app.
#[derive(Default)]
struct Again {
    done: Option<&'static str>,
    notice: Option<&'static str>,
    /// `None`: the settings as they are.
    typed: Option<AppFields>,
    wrong: Wrong,
    places: Places,
    session_id: Option<String>,
}

/// `GET /apps/{id}`
///
/// # Errors
/// [`Error::NotFound`] if there is no such app.
pub async fn show(
    Admin(user): Admin,
    id: web::Path<String>,
    (query, places): (web::Query<Query>, web::Query<Places>),
    context: RequestContext,
) -> Result<HttpResponse> {
    let done = match query.done.as_str() {
        "saved" => Some("The settings are saved. If the address or the public paths changed, update your proxy too."),
        "disabled" => Some("The app is disabled. Nobody can open it."),
        "enabled" => Some("The app is enabled again."),
        _ => None,
    };
    let again = Again { done, places: places.into_inner(), ..Again::default() };
    draw(StatusCode::OK, (&context, &user), &id, again).await
}

/// `POST /apps/{id}`: saves the settings.
///
/// # Errors
/// [`Error::NotFound`] if there is no such app.
pub async fn submit(
    sent: Form<AppFields>,
    user: Result<Admin>,
    id: web::Path<String>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let user = match user {
        Ok(Admin(user)) => user,
        Err(error) => return context.go_on_by_login(error, context.req.path()),
    };
    let typed = sent.fields;
    let shown = |wrong| Again { typed: Some(typed.clone()), wrong, ..Again::default() };
    let refuse = |status, again| draw(status, (&context, &user), &id, again);
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.");
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, Again { notice, ..shown(Wrong::default()) }).await;
    }
    let changes = match typed.changes() {
        Ok(changes) => changes,
        Err(wrong) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, shown(*wrong)).await,
    };
    let Confirmation { manager, session_id, .. } = match confirmed(&context, &user, &typed.current_password).await? {
        Ok(confirmation) => confirmation,
        Err(not) => {
            return refuse(not.status, shown(Wrong { password: Some(not.words), ..Wrong::default() })).await;
        }
    };
    match manage::set(&context.sessions.db, &manager, &context.site.public, &id, changes).await {
        Ok(Ok(app)) => Ok(layout::see_other(&format!("/apps/{}?done=saved", app.id))),
        Ok(Err(refused)) => {
            refuse(StatusCode::UNPROCESSABLE_ENTITY, Again { session_id, ..shown(Wrong::of(refused)) }).await
        }
        Err(error) => Err(explained(&context, error).await?),
    }
}

async fn draw(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    id: &str,
    again: Again,
) -> Result<HttpResponse> {
    let (who, asked) = (user.who(), id.to_owned());
    if !is_id(id) {
        return Err(Error::NotFound);
    }
    let read = async move |conn: &mut Conn<'_>| {
        let Some(app) = statements::by_id(conn, &asked).await? else { return Ok(None) };
        let rules = manage::rules_in_words(conn, std::slice::from_ref(&app)).await?.pop().unwrap_or_default();
        let arrivals = arrivals::list(conn, &who.account_id, who.device_id.as_deref()).await?;
        Ok(Some((app, rules, arrivals)))
    };
    let (app, rules, arrivals) = context.sessions.db.read(read).await?.ok_or(Error::NotFound)?;
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, &app.name).of(&user.account, &token, "apps");
    let is_confirmed = user.is_confirmed() || again.session_id.is_some();
    let template = OnePage {
        page: of_session(page.asking(&context.req, &arrivals, user.now), again.session_id),
        token: token.value,
        email: user.account.email.clone(),
        done: again.done,
        notice: again.notice,
        href: format!("{}/", app.origin),
        host: app.host().to_owned(),
        is_enabled: app.is_enabled(),
        observes: app.observe,
        refused: app.refused,
        typed: again.typed.unwrap_or_else(|| AppFields::of(&app, &rules)),
        wrong: again.wrong,
        asks_password: !is_confirmed,
        set_up: SetUp::new(&context.site, &app, again.places, None, user.now),
        id: app.id,
        name: app.name,
    };
    layout::answer(status, &template)
}

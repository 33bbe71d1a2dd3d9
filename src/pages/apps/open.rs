//! `/apps/{id}/open`: makes a code for the signed-in person's browser and goes on to the app's host.
//!
//! Invariant: the page goes on only to the registered origin of the app.

use actix_session::Session;
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode},
    web,
};
use askama::Template;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::{
    actions::apps::open::{Begun, Opening, begin},
    base::{
        brand::Brand,
        error::{Error, Result, SET_UP},
    },
    records::{
        app::{App, Apps},
        session::{CurrentUser, current::renew_cookie},
    },
    web::{
        context::RequestContext,
        forms,
        forwarded::{in_query, target_at},
        layout::{self, Page},
        rates::Act,
        return_to,
    },
};

/// The bytes of a hash of a pending cookie.
const HASH: usize = 32;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    n: String,
    to: String,
}

#[derive(Template)]
#[template(path = "parts/going_on.html")]
struct GoingOnPage {
    page: Page,
    to: String,
}

#[derive(Template)]
#[template(path = "apps/no_access.html")]
struct NoAccessPage {
    page: Page,
    token: String,
    app: String,
    /// Who is signed in.
    person: String,
    /// Opens the app, for a person who signs in with another account.
    next: String,
}

/// `GET /apps/{id}/open`
///
/// # Errors
/// [`Error::NotFound`] if there is no such app or it is disabled.
pub async fn show(
    (id, query): (web::Path<String>, web::Query<Query>),
    context: RequestContext,
    apps: web::Data<Apps>,
    (user, session): (CurrentUser, Session),
) -> Result<HttpResponse> {
    let app = apps.by_id(&id).await?.filter(|app| app.is_enabled()).ok_or(Error::NotFound)?;
    let target = target_at(&app.origin, &query.to);
    let Some(pending_hash) = hash(&query.n) else {
        // The person came from a link on our own pages. Only the app's host can set its pending cookie.
        return go_on(context.site.brand.clone(), format!("{}/.sessile/start?to={}", app.origin, in_query(&target)));
    };
    if context.req.method() != Method::GET {
        return Ok(HttpResponse::Ok().finish());
    }
    if let Some(missing) = missing(&context, &user, &app) {
        let here = context.req.uri().path_and_query().map_or("/", |here| here.as_str());
        return Ok(layout::see_other(&missing.leads_to(here)));
    }
    context.count(Act::Opening, &user, 1)?;
    // The gate cannot renew the cookie of this origin, so each visit here does.
    renew_cookie(&session)?;
    let opening = Opening { pending_hash, target, ip: context.facts.ip.clone() };
    let again = format!("/apps/{id}/open?to={}", in_query(&opening.target));
    match begin(&context.sessions.db, &user, &app, opening).await? {
        Begun::Code(code) => {
            let code = context.site.keys.seal_opening(&code.expose())?;
            go_on(context.site.brand.clone(), format!("{}/.sessile/done?code={code}", app.origin))
        }
        Begun::Denied => denied(&context, &user, &app, again),
        Begun::Ended => Err(context.ended_meanwhile().await?),
    }
}

/// What the session lacks to open the app.
enum Missing {
    /// The account has no second factor.
    SetUp,
    /// The second factor was not given in this session.
    Confirmation,
}

impl Missing {
    /// The page that leads on to `next`.
    fn leads_to(&self, next: &str) -> String {
        match self {
            Self::SetUp => return_to::address_with_next(SET_UP, next),
            Self::Confirmation => return_to::second_confirmation("/confirm", next),
        }
    }
}

fn missing(context: &RequestContext, user: &CurrentUser, app: &App) -> Option<Missing> {
    let is_required = app.require_second_factor && app.allows(&user.account);
    if context.sessions.second_factor.asks_for_set_up(&user.account) {
        return Some(Missing::SetUp);
    }
    match (is_required, user.account.has_second_factor()) {
        (true, false) => Some(Missing::SetUp),
        (true, true) if !user.record.amr().has_second_factor() => Some(Missing::Confirmation),
        _ => None,
    }
}

/// The hash of a pending cookie in an address.
fn hash(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok().filter(|hash| hash.len() == HASH)
}

fn go_on(brand: Brand, to: String) -> Result<HttpResponse> {
    layout::answer(StatusCode::OK, &GoingOnPage { page: Page::bare(brand, "One moment"), to })
}

fn denied(context: &RequestContext, user: &CurrentUser, app: &App, next: String) -> Result<HttpResponse> {
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, "You don't have access").of(&user.account, &token, "");
    let person = format!("{} ({})", user.account.name, user.account.email);
    let (token, app) = (token.value, app.name.clone());
    layout::answer(StatusCode::FORBIDDEN, &NoAccessPage { page, token, app, person, next })
}

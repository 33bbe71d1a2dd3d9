//! The page `/account/security`: the second factors that the account has, and links to change them. Called by the routes.
//!
//! Invariant: the page shows no secret. Its form only notes that the person has seen a notice.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{CONFIRM, OVERVIEW, STALE, next_of, with_next};
use crate::{
    actions::second_factor::manage,
    base::{
        db::{Conn, Instant},
        error::{Error, Result},
    },
    records::{
        passkey,
        second_factor::{self, Present},
        session::CurrentUser,
    },
    web::{
        context::RequestContext,
        forms::{self, Form},
        layout::{self, Page, When},
        passkey_list::{self, PasskeyList},
        rates::Act,
        return_to,
    },
};

/// With so few recovery codes left, the page asks to make new ones.
const FEW: usize = 2;

/// What was done, and where the person wants to go on to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    done: String,
    next: String,
}

/// The fields of the form on the dashboard.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    act: String,
}

#[derive(Template)]
#[template(path = "security/overview.html")]
struct OverviewPage {
    page: Page,
    done: Option<&'static str>,
    /// Whether this service requires a second factor of the person, who has none.
    must_add: bool,
    passkeys: PasskeyList,
    /// Where the person confirms, before they add a passkey.
    confirmation: String,
    /// Where the script goes on to after it added a passkey.
    next_after_adding: Option<String>,
    host: String,
    /// When an administrator removed what there was, if the person has not seen the notice yet.
    factor_reset: Option<When>,
    app_added: Option<When>,
    /// The address of the page that adds an app.
    add_app: String,
    codes_made: Option<When>,
    codes_left: usize,
    has_factor: bool,
    has_one_only: bool,
    has_few_codes: bool,
    /// Where the person goes on to now that they have a second factor.
    next: Option<String>,
}

/// `GET /account/security`
pub async fn show(query: web::Query<Query>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let done = match query.done.as_str() {
        "stale" => Some(STALE),
        "app" => Some("The authenticator app was added. From now on you sign in with a code too."),
        "app-exists" => Some("Your account has an authenticator app already."),
        "app-removed" => Some("The authenticator app was removed."),
        "passkey" => Some("The passkey was added. Use it the next time you sign in."),
        "passkey-renamed" => Some("The passkey has its new name."),
        "passkey-removed" => Some("The passkey was removed."),
        _ => None,
    };
    let id = user.account.id.clone();
    let read =
        async move |conn: &mut Conn<'_>| Ok((second_factor::present(conn, &id).await?, passkey::all(conn, &id).await?));
    let (present, passkeys) = context.sessions.db.read(read).await?;
    let passkeys = passkey_list::list(&context.site, &user, &passkeys);
    let next = next_of(&context, &query.next);
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, "Sign-in security").of(&user.account, &token, "account");
    let is_required = context.sessions.second_factor.applies_to(user.account.role);
    let host = context.site.public.origin().to_owned();
    let told = (done, next, is_required);
    let factor_reset = user.account.factor_reset_at.map(|at| When::past(at, user.now));
    let shown = OverviewPage::new((page, host), (&present, passkeys), told, user.now);
    layout::answer(StatusCode::OK, &OverviewPage { factor_reset, ..shown })
}

impl OverviewPage {
    fn new(
        (page, host): (Page, String),
        (present, passkeys): (&Present, PasskeyList),
        (done, next, is_required): (Option<&'static str>, Option<String>, bool),
        now: Instant,
    ) -> Self {
        let Present { passkeys: count, app_added_at, recovery_left, recovery_made_at } = *present;
        let factors = count + i64::from(app_added_at.is_some());
        let has_factor = factors > 0;
        Self {
            page,
            done,
            must_add: is_required && !has_factor,
            passkeys,
            confirmation: return_to::second_confirmation(CONFIRM, &with_next(OVERVIEW, next.as_deref())),
            next_after_adding: next.as_deref().map(|next| with_next(OVERVIEW, Some(next))),
            host,
            factor_reset: None,
            app_added: app_added_at.map(|at| When::past(at, now)),
            add_app: with_next("/account/security/app", next.as_deref()),
            codes_made: recovery_made_at.map(|at| When::past(at, now)),
            codes_left: recovery_left,
            has_factor,
            has_one_only: factors == 1,
            has_few_codes: has_factor && recovery_left <= FEW,
            next: next.filter(|_| has_factor),
        }
    }
}

/// `POST /account/security`: the person has seen the notices of the dashboard.
///
/// # Errors
/// [`Error::Invalid`] for any other act.
pub async fn submit(sent: Form<Fields>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    if !sent.is_fresh {
        let query = Query { done: "stale".to_owned(), ..Query::default() };
        let mut answer = show(web::Query(query), user, context).await?;
        *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(answer);
    }
    if sent.fields.act != "seen" {
        return Err(Error::Invalid("there is no such act".into()));
    }
    context.count(Act::Change, &user, 1)?;
    match manage::note_seen(&context.sessions, user.acting()).await? {
        Some(()) => Ok(layout::see_other(return_to::HOME)),
        None => Err(context.ended_meanwhile().await?),
    }
}

//! The first start: whoever opens the one-time link makes the owner's account.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::new_account::{AccountForm, Typed, not_fresh};
use crate::actions::sign_in::{self, Visit, Welcome};
use crate::actions::{new_password::Door, sign_in::begin::begin};
use crate::{
    actions::password_proof,
    base::{db::Conn, error::Result, secret::Secret},
    records::{
        account::{self, Role},
        audit::{self, Event, Kind},
        instance,
        session::Sessions,
    },
    web::{
        context::RequestContext,
        forms::Form,
        layout::{self, Page},
        return_to,
    },
};

/// The link's secret.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    token: String,
}

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    token: String,
    email: String,
    name: String,
    password: String,
}

/// Whether a link may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Good,
    /// Never was, too old, or used up.
    Bad,
    /// There is an owner.
    NotNeeded,
}

/// `GET /setup`
///
/// # Errors
/// When the database is away.
pub async fn show(query: web::Query<Query>, context: RequestContext) -> Result<HttpResponse> {
    let setup = query.into_inner().token;
    let secret = Secret::presented(&*setup);
    match judge_now(&context, &secret).await? {
        Link::Good => form(StatusCode::OK, &context, AccountForm { setup, usable: true, ..AccountForm::default() }),
        refused => refuse(&context, refused),
    }
}

/// `POST /setup`
///
/// # Errors
/// What is neither bad input nor a database that is away: those show the form again.
pub async fn submit(query: web::Query<Query>, sent: Form<Fields>, context: RequestContext) -> Result<HttpResponse> {
    let Fields { token, email, name, password } = sent.fields;
    let setup = if token.is_empty() { query.into_inner().token } else { token };
    let again = AccountForm { setup, email, name, usable: true, ..AccountForm::default() };
    if !sent.is_fresh {
        if context.is_signed_in_as(&again.email) {
            return Ok(layout::see_other(return_to::HOME));
        }
        let problem = Some(not_fresh(sent.is_without_cookies));
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, AccountForm { problem, ..again });
    }
    let link = Secret::presented(&*again.setup);
    match judge_now(&context, &link).await {
        Ok(Link::Good) => {}
        Ok(Link::NotNeeded) => return owner_again(&context, again, password).await,
        Ok(Link::Bad) => return refuse(&context, Link::Bad),
        Err(error) => return again.again(error, |status, again| form(status, &context, again)),
    }
    let (typed, again) = match again.check(password.clone()) {
        Ok(checked) => checked,
        Err(again) => return form(StatusCode::UNPROCESSABLE_ENTITY, &context, *again),
    };
    match create_owner(&context, link, typed).await {
        Ok(Created::Owner(welcome)) => welcome.let_in(&context, layout::see_other(return_to::HOME)),
        Ok(Created::Refused(Link::NotNeeded)) => owner_again(&context, again, password).await,
        Ok(Created::Refused(link)) => refuse(&context, link),
        Ok(Created::AddressTaken) => form(StatusCode::UNPROCESSABLE_ENTITY, &context, again.address_taken()),
        Err(error) => again.again(error, |status, again| form(status, &context, again)),
    }
}

/// There is an owner: whom this very form has created, if it was sent twice. Anybody else is told no more than that.
async fn owner_again(context: &RequestContext, again: AccountForm, password: String) -> Result<HttpResponse> {
    match sign_in::log_in_again(context, &again.email, password).await {
        Ok(Some(welcome)) => welcome.let_in(context, layout::see_other(return_to::HOME)),
        Ok(None) => refuse(context, Link::NotNeeded),
        Err(error) => again.again(error, |status, again| form(status, context, again)),
    }
}

enum Created {
    Owner(Box<Welcome>),
    AddressTaken,
    Refused(Link),
}

/// Creates the owner, uses up the link and begins the owner's session, all or nothing. The link was judged before anything
/// is counted or hashed, and is judged once more in the transaction.
async fn create_owner(context: &RequestContext, link: Secret, typed: Typed) -> Result<Created> {
    let (node, visit) = (Sessions::clone(&context.sessions), Visit::by_form(context));
    let (prover, door) = (context.prover.clone(), Door::SetupLink(context.network()?));
    password_proof::to_the_end(async move {
        let (owner, chosen) = typed.choose(&prover, door, Role::Owner).await?;
        let work = async move |conn: &mut Conn<'_>| {
            instance::lock(conn).await?;
            let judged = judge(conn, &link).await?;
            if judged != Link::Good {
                chosen.refused(conn).await?;
                return Ok(Created::Refused(judged));
            }
            let Some(account) = account::create(conn, &owner).await? else {
                chosen.refused(conn).await?;
                return Ok(Created::AddressTaken);
            };
            chosen.created(conn).await?;
            instance::close_setup(conn).await?;
            let created = Event::of(Kind::AccountCreated, &account.id).detail(Role::Owner.as_str()).ip(visit.ip());
            audit::record(conn, &[created]).await?;
            let welcome = begin(conn, account, visit, &node).await?;
            Ok(Created::Owner(Box::new(welcome)))
        };
        prover.db.write(work).await
    })
    .await
}

async fn judge_now(context: &RequestContext, link: &Secret) -> Result<Link> {
    let link = link.clone();
    context.sessions.db.read(async move |conn: &mut Conn<'_>| judge(conn, &link).await).await
}

async fn judge(conn: &mut Conn<'_>, link: &Secret) -> Result<Link> {
    if account::has_owner(conn).await? {
        return Ok(Link::NotNeeded);
    }
    let good = instance::is_setup_link(conn, link).await?;
    Ok(if good { Link::Good } else { Link::Bad })
}

fn refuse(context: &RequestContext, link: Link) -> Result<HttpResponse> {
    let words = match link {
        Link::NotNeeded => "This link has been used. Sessile has an owner, so you can sign in.",
        Link::Good | Link::Bad => {
            "This link is not good any more. Restart Sessile and open the link that it prints; it works for a day."
        }
    };
    form(StatusCode::FORBIDDEN, context, AccountForm { problem: Some(words.to_owned()), ..AccountForm::default() })
}

fn form(status: StatusCode, context: &RequestContext, template: AccountForm) -> Result<HttpResponse> {
    context.form(|token| {
        let page = Page::new(&context.req, "Set up");
        let (heading, lead) = ("Set up Sessile", "You will be its owner. It takes a minute.");
        layout::answer(status, &AccountForm { page, token, action: "/setup", heading, lead, ..template })
    })
}

//! The first start: whoever opens the one-time link makes the owner's account.

use actix_session::Session;
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::rule::{self, LoginRule, Visit, Welcome};
use crate::{
    account::{self, EmailAddress, Role, password},
    audit::{self, Event, Kind},
    db::Conn,
    error::{Error, Result},
    failure, instance,
    page::{self, Page},
    secret::Secret,
    security::{
        Site,
        forms::{self, Form},
    },
    session::{SessionKey, current::Facts, guard},
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

#[derive(Template, Default)]
#[template(path = "login/setup.html")]
struct SetupPage {
    page: Page,
    token: String,
    setup: String,
    email: String,
    name: String,
    email_error: Option<String>,
    name_error: Option<String>,
    password_error: Option<String>,
    problem: Option<String>,
    usable: bool,
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
pub async fn show(
    req: HttpRequest,
    query: web::Query<Query>,
    site: web::Data<Site>,
    rule: web::Data<LoginRule>,
) -> Result<HttpResponse> {
    let secret = Secret::presented(&*query.token);
    let link = rule.sessions.db.read(async move |conn: &mut Conn<'_>| judge(conn, &secret).await).await?;
    let setup = query.into_inner().token;
    match link {
        Link::Good => form(StatusCode::OK, &req, &site, SetupPage { setup, usable: true, ..SetupPage::default() }),
        refused => refuse(&req, &site, refused),
    }
}

/// `POST /setup`
///
/// # Errors
/// When the database is away or too many passwords wait to be hashed.
pub async fn submit(
    req: HttpRequest,
    query: web::Query<Query>,
    sent: Form<Fields>,
    facts: Facts,
    session: Session,
    site: web::Data<Site>,
    rule: web::Data<LoginRule>,
) -> Result<HttpResponse> {
    let Fields { token, email: typed, name: called, password } = sent.fields;
    let token = if token.is_empty() { query.into_inner().token } else { token };
    let again = SetupPage {
        setup: token.clone(),
        email: typed.clone(),
        name: called.clone(),
        usable: true,
        ..SetupPage::default()
    };
    if !sent.is_fresh {
        let problem = Some("This page had been open for a while. Please choose your password once more.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, &req, &site, SetupPage { problem, ..again });
    }
    let email = EmailAddress::parse(&typed);
    let name = account::display_name(&called);
    let chosen = password::check_new(&password);
    let (email, name) = match (email, name, chosen) {
        (Ok(email), Ok(name), Ok(())) => (email, name),
        (email, name, chosen) => {
            let complaint = SetupPage {
                email_error: email.err().map(|error| error.to_string()),
                name_error: name.err().map(|error| error.to_string()),
                password_error: chosen.err().map(|error| error.to_string()),
                ..again
            };
            return form(StatusCode::UNPROCESSABLE_ENTITY, &req, &site, complaint);
        }
    };
    let visit = Visit::new(&req, &facts, &site);
    let created = async {
        let owner = account::New { email, name, role: Role::Owner, password_hash: rule.hasher.hash(password).await? };
        create_owner(&rule, Secret::presented(token), owner, visit).await
    };
    let created = match created.await {
        Ok(created) => created,
        Err(error) => {
            return failure::form_again(error, |status, words| {
                form(status, &req, &site, SetupPage { problem: Some(words.to_owned()), ..again })
            });
        }
    };
    match created {
        Created::Owner(welcome) => {
            let mut answer = page::see_other(guard::HOME);
            welcome.finish(&session, &site, &mut answer)?;
            Ok(answer)
        }
        Created::AddressTaken => {
            let email_error = Some("There is an account with this address already. Choose another.".to_owned());
            form(StatusCode::UNPROCESSABLE_ENTITY, &req, &site, SetupPage { email_error, ..again })
        }
        Created::Refused(link) => refuse(&req, &site, link),
    }
}

enum Created {
    Owner(Box<Welcome>),
    AddressTaken,
    Refused(Link),
}

/// Makes the owner, uses up the link and begins the owner's session, all or nothing.
async fn create_owner(rule: &LoginRule, link: Secret, owner: account::New, visit: Visit) -> Result<Created> {
    let key = SessionKey::generate(rule.sessions.clock.now())?;
    let times = rule.sessions.times;
    rule.sessions
        .db
        .write(async move |conn: &mut Conn<'_>| {
            instance::lock(conn).await?;
            let judged = judge(conn, &link).await?;
            if judged != Link::Good {
                return Ok(Created::Refused(judged));
            }
            let Some(account) = account::create(conn, &owner).await? else {
                return Ok(Created::AddressTaken);
            };
            instance::close_setup(conn).await?;
            audit::record(conn, &[Event::of(Kind::AccountCreated, &account.id).detail("owner")]).await?;
            let welcome = rule::begin(conn, account, visit, key, times).await?;
            Ok(Created::Owner(Box::new(welcome)))
        })
        .await
}

async fn judge(conn: &mut Conn<'_>, link: &Secret) -> Result<Link> {
    if account::has_owner(conn).await? {
        return Ok(Link::NotNeeded);
    }
    let good = instance::is_setup_link(conn, link).await?;
    Ok(if good { Link::Good } else { Link::Bad })
}

fn refuse(req: &HttpRequest, site: &Site, link: Link) -> Result<HttpResponse> {
    let words = match link {
        Link::NotNeeded => "This link has been used. Sessile has an owner, so you can sign in.",
        Link::Good | Link::Bad => {
            "This link is not good any more. Restart Sessile and open the link that it prints; it works for a day."
        }
    };
    let template = SetupPage { problem: Some(words.to_owned()), ..SetupPage::default() };
    form(StatusCode::FORBIDDEN, req, site, template)
}

fn form(status: StatusCode, req: &HttpRequest, site: &Site, template: SetupPage) -> Result<HttpResponse> {
    let token = forms::token(site, req)?;
    let template = SetupPage { page: Page::new(req, "Set up"), token: token.value, ..template };
    let mut answer = page::answer(status, &template)?;
    if let Some(cookie) = token.cookie {
        answer.add_cookie(&cookie).map_err(Error::bug)?;
    }
    Ok(answer)
}

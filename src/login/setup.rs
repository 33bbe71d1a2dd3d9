//! The first start: whoever opens the one-time link makes the owner's account.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{
    desk::Desk,
    rule::{self, LoginRule, Visit, Welcome},
};
use crate::{
    account::{self, EmailAddress, Role, password},
    audit::{self, Event, Kind},
    db::Conn,
    error::{Error, Result},
    failure, instance,
    page::{self, Page},
    secret::Secret,
    security::forms::Form,
    session::{SessionKey, guard},
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
pub async fn show(query: web::Query<Query>, desk: Desk) -> Result<HttpResponse> {
    let setup = query.into_inner().token;
    let secret = Secret::presented(&*setup);
    let link = desk.rule.sessions.db.read(async move |conn: &mut Conn<'_>| judge(conn, &secret).await).await?;
    match link {
        Link::Good => form(StatusCode::OK, &desk, SetupPage { setup, usable: true, ..SetupPage::default() }),
        refused => refuse(&desk, refused),
    }
}

/// `POST /setup`
///
/// # Errors
/// What is neither bad input nor a database that is away: those show the form again.
pub async fn submit(query: web::Query<Query>, sent: Form<Fields>, desk: Desk) -> Result<HttpResponse> {
    let Fields { token, email, name, password } = sent.fields;
    let setup = if token.is_empty() { query.into_inner().token } else { token };
    let again = SetupPage { setup, email, name, usable: true, ..SetupPage::default() };
    if !sent.is_fresh {
        let problem = Some("This page had been open for a while. Please choose your password once more.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, &desk, SetupPage { problem, ..again });
    }
    let (email, name) = match check(&again, &password) {
        Ok(checked) => checked,
        Err(complaint) => return form(StatusCode::UNPROCESSABLE_ENTITY, &desk, complaint.beside(again)),
    };
    let link = Secret::presented(&*again.setup);
    let created = async {
        let password_hash = desk.rule.hasher.hash(password).await?;
        let owner = account::New { email, name, role: Role::Owner, password_hash };
        create_owner(&desk.rule, link, owner, desk.visit()).await
    };
    match created.await {
        Ok(Created::Owner(welcome)) => desk.welcome(&welcome, page::see_other(guard::HOME)),
        Ok(Created::Refused(link)) => refuse(&desk, link),
        Ok(Created::AddressTaken) => {
            let email_error = Some("There is an account with this address already. Choose another.".to_owned());
            form(StatusCode::UNPROCESSABLE_ENTITY, &desk, SetupPage { email_error, ..again })
        }
        Err(error) => failure::form_again(error, |status, words| {
            form(status, &desk, SetupPage { problem: Some(words.to_owned()), ..again })
        }),
    }
}

/// What is wrong with what was typed.
struct Complaint {
    email: Option<String>,
    name: Option<String>,
    password: Option<String>,
}

impl Complaint {
    fn beside(self, again: SetupPage) -> SetupPage {
        SetupPage { email_error: self.email, name_error: self.name, password_error: self.password, ..again }
    }
}

fn check(typed: &SetupPage, password: &str) -> Result<(EmailAddress, String), Complaint> {
    let email = EmailAddress::parse(&typed.email);
    let name = account::display_name(&typed.name);
    match (email, name, password::check_new(password)) {
        (Ok(email), Ok(name), Ok(())) => Ok((email, name)),
        (email, name, password) => {
            let words = |error: Error| error.to_string();
            Err(Complaint {
                email: email.err().map(words),
                name: name.err().map(words),
                password: password.err().map(words),
            })
        }
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
            let made = Event::of(Kind::AccountCreated, &account.id).detail(Role::Owner.as_str()).ip(visit.ip());
            audit::record(conn, &[made]).await?;
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

fn refuse(desk: &Desk, link: Link) -> Result<HttpResponse> {
    let words = match link {
        Link::NotNeeded => "This link has been used. Sessile has an owner, so you can sign in.",
        Link::Good | Link::Bad => {
            "This link is not good any more. Restart Sessile and open the link that it prints; it works for a day."
        }
    };
    form(StatusCode::FORBIDDEN, desk, SetupPage { problem: Some(words.to_owned()), ..SetupPage::default() })
}

fn form(status: StatusCode, desk: &Desk, template: SetupPage) -> Result<HttpResponse> {
    desk.form(|token| {
        let page = Page::new(&desk.req, "Set up");
        page::answer(status, &SetupPage { page, token, ..template })
    })
}

//! The page `/people`: everybody with an account, newest first, with a search. Called by the routes.
//!
//! Invariant: each page of the list reads as many accounts as it shows.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;
use url::form_urlencoded;

use crate::{
    base::{db::Conn, error::Result},
    records::{
        account::{
            Role,
            person::Person,
            search::{self, Cursor},
        },
        help,
        session::{
            CurrentUser, arrivals,
            people::{self, Usage},
        },
    },
    web::{
        admin::Admin,
        context::RequestContext,
        forms,
        help::HelpRow,
        layout::{self, Page, When},
        target,
    },
};

/// People on one page.
const PAGE_SIZE: i64 = 50;

/// The search and the position in the list, and the action to report as done.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    query: String,
    before: String,
    done: String,
}

#[derive(Template)]
#[template(path = "people/index.html")]
struct IndexPage {
    page: Page,
    done: Option<&'static str>,
    query: String,
    help: Vec<HelpRow>,
    people: Vec<Row>,
    is_first: bool,
    /// The query of the first page.
    newest: String,
    /// The query of the next page.
    older: Option<String>,
}

/// A person in the list.
struct Row {
    letter: String,
    name: String,
    email: String,
    /// Where the row leads. `None` for people beside or above the reader.
    href: Option<String>,
    role: Option<&'static str>,
    is_self: bool,
    is_disabled: bool,
    is_invited: bool,
    has_second_factor: bool,
    /// Whether the link of the invitation no longer works.
    is_expired: bool,
    leaves: Option<When>,
    last: Option<When>,
    sessions: i64,
}

/// `GET /people`
pub async fn show(Admin(user): Admin, query: web::Query<Query>, context: RequestContext) -> Result<HttpResponse> {
    let Query { query, before, done } = query.into_inner();
    // An invalid position shows the first page.
    let before = Cursor::parse(&before).ok();
    let (who, role, is_first, words) = (user.who(), user.account.role, before.is_none(), query.clone());
    let read = async move |conn: &mut Conn<'_>| {
        let found = search::page(conn, &words, before.clone(), PAGE_SIZE).await?;
        let arrivals = arrivals::list(conn, &who.account_id, who.device_id.as_deref()).await?;
        let help = help::open(conn, role).await?;
        Ok((people::with_usage(conn, found.people).await?, found.next, arrivals, help))
    };
    let (people, next, arrivals, help) = context.sessions.db.read(read).await?;
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, "People").of(&user.account, &token, "people");
    let template = IndexPage {
        page: page.asking(&context.req, &arrivals, user.now),
        done: (done == "deleted").then_some("The account is deleted, with everything that was kept about the person."),
        help: HelpRow::rows(&help, user.now),
        people: people.into_iter().map(|(person, usage)| Row::new(person, usage, &user)).collect(),
        is_first,
        newest: address(&query, None),
        older: next.map(|next| address(&query, Some(&next))),
        query,
    };
    layout::answer(StatusCode::OK, &template)
}

fn address(query: &str, before: Option<&Cursor>) -> String {
    let mut fields = form_urlencoded::Serializer::new(String::new());
    if !query.is_empty() {
        fields.append_pair("query", query);
    }
    if let Some(before) = before {
        fields.append_pair("before", &before.to_string());
    }
    let fields = fields.finish();
    if fields.is_empty() { fields } else { format!("?{fields}") }
}

impl Row {
    fn new(person: Person, usage: Usage, user: &CurrentUser) -> Self {
        let is_self = person.account.id == user.account.id;
        let last = usage.last_activity.max(person.last_login_at);
        let may_act = target::may_act_on(user, &person);
        Self {
            letter: layout::initial(&person.account.name),
            href: may_act.then(|| person.account.id.clone()),
            role: (person.account.role != Role::Member).then(|| person.account.role.label()),
            is_self,
            is_disabled: person.is_disabled(),
            is_invited: person.is_invited(),
            has_second_factor: person.account.has_second_factor(),
            is_expired: person.is_invited() && usage.invited_until.is_none(),
            leaves: person.deletes_at().map(|at| When::until(at, user.now)),
            last: last.map(|at| When::past(at, user.now)),
            sessions: usage.sessions,
            name: person.account.name,
            email: person.account.email,
        }
    }
}

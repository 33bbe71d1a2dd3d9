//! The page `/apps` for admins: all protected apps, and the form that adds one. Called by the routes.
//!
//! Invariant: the gate token and the secret of a new app are shown once, in the answer to the form.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{
    fields::{AppFields, UPSTREAM, Wrong},
    secrets::{SecretsPage, Shown},
    set_up::Places,
};
use crate::{
    actions::apps::manage::{self, Added},
    base::{db::Conn, error::Result},
    records::{
        account::Role,
        app::{App, Rule, statements},
        session::{
            CurrentUser,
            arrivals::{self, Arrivals},
        },
    },
    web::{
        admin::Admin,
        confirmed::{Confirmation, confirmed, explained, of_session},
        context::RequestContext,
        forms::{self, Form},
        layout::{self, Page, When},
    },
};

/// The action to report as done.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    done: String,
}

#[derive(Template)]
#[template(path = "apps/index.html")]
struct IndexPage {
    page: Page,
    token: String,
    email: String,
    done: Option<&'static str>,
    notice: Option<&'static str>,
    apps: Vec<Row>,
    typed: AppFields,
    wrong: Wrong,
    upstream: &'static str,
    asks_password: bool,
}

/// An app in the list.
struct Row {
    id: String,
    letter: String,
    name: String,
    host: String,
    who: String,
    last_used: Option<When>,
    is_enabled: bool,
    observes: bool,
}

/// What the form shows.
#[derive(Default)]
struct Again {
    done: Option<&'static str>,
    notice: Option<&'static str>,
    typed: AppFields,
    wrong: Wrong,
    session_id: Option<String>,
}

/// `GET /apps`
pub async fn show(Admin(user): Admin, query: web::Query<Query>, context: RequestContext) -> Result<HttpResponse> {
    let done = (query.done == "removed").then_some("The app is removed. Nobody can open it any more.");
    draw(StatusCode::OK, &context, &user, Again { done, ..Again::default() }).await
}

/// `POST /apps`: adds an app.
pub async fn submit(sent: Form<AppFields>, user: Result<Admin>, context: RequestContext) -> Result<HttpResponse> {
    let user = match user {
        Ok(Admin(user)) => user,
        Err(error) => return context.go_on_by_login(error, context.req.path()),
    };
    let typed = sent.fields;
    let shown = |wrong| Again { typed: typed.clone(), wrong, ..Again::default() };
    let refuse = |status, again| draw(status, &context, &user, again);
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.");
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, Again { notice, ..shown(Wrong::default()) }).await;
    }
    let (changes, upstream) = match typed.changes().and_then(|changes| Ok((changes, typed.upstream()?.to_owned()))) {
        Ok(checked) => checked,
        Err(wrong) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, shown(*wrong)).await,
    };
    let Confirmation { manager, session_id, .. } = match confirmed(&context, &user, &typed.current_password).await? {
        Ok(confirmation) => confirmation,
        Err(not) => {
            return refuse(not.status, shown(Wrong { password: Some(not.words), ..Wrong::default() })).await;
        }
    };
    match manage::add(&context.sessions.db, &manager, &context.site.public, changes).await {
        Ok(Ok(Added { app, gate_token, secret })) => {
            let shown = Shown { gate_token: Some(gate_token), secret: Some(secret), is_new: true };
            let places = Places { upstream, ..Places::default() };
            SecretsPage::answer(&context, &user, &app, shown, (places, session_id))
        }
        Ok(Err(refused)) => {
            refuse(StatusCode::UNPROCESSABLE_ENTITY, Again { session_id, ..shown(Wrong::of(refused)) }).await
        }
        Err(error) => Err(explained(&context, error).await?),
    }
}

async fn draw(status: StatusCode, context: &RequestContext, user: &CurrentUser, again: Again) -> Result<HttpResponse> {
    let who = user.who();
    let read = async move |conn: &mut Conn<'_>| {
        let arrivals = arrivals::list(conn, &who.account_id, who.device_id.as_deref()).await?;
        Ok((statements::all(conn).await?, arrivals))
    };
    let (apps, arrivals): (Vec<App>, Arrivals) = context.sessions.db.read(read).await?;
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, "Apps").of(&user.account, &token, "apps");
    let asks_password = !user.is_confirmed() && again.session_id.is_none();
    let template = IndexPage {
        page: of_session(page.asking(&context.req, &arrivals, user.now), again.session_id),
        token: token.value,
        email: user.account.email.clone(),
        done: again.done,
        notice: again.notice,
        apps: apps.iter().map(|app| Row::new(app, user)).collect(),
        typed: again.typed,
        wrong: again.wrong,
        upstream: UPSTREAM,
        asks_password,
    };
    layout::answer(status, &template)
}

impl Row {
    fn new(app: &App, user: &CurrentUser) -> Self {
        Self {
            id: app.id.clone(),
            letter: layout::initial(&app.name),
            name: app.name.clone(),
            host: app.host().to_owned(),
            who: who(&app.admits),
            last_used: app.last_used_at.map(|at| When::past(at, user.now)),
            is_enabled: app.is_enabled(),
            observes: app.observe,
        }
    }
}

/// Who may use an app, in a few words.
fn who(rules: &[Rule]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut people = 0;
    for rule in rules {
        match rule {
            Rule::Everyone => return "Everybody".to_owned(),
            Rule::Role(Role::Owner) => words.push("owners".to_owned()),
            Rule::Role(Role::Admin) => words.push("admins".to_owned()),
            Rule::Role(Role::Member) => words.push("members".to_owned()),
            Rule::Group(group) => words.push(format!("the group {group}")),
            Rule::Account(_) => people += 1,
        }
    }
    words.truncate(MOST_WORDS);
    match people {
        0 => {}
        1 => words.push("one person".to_owned()),
        many => words.push(format!("{many} people")),
    }
    match words.as_slice() {
        [] => "Nobody".to_owned(),
        [one] => format!("Only {one}"),
        [first @ .., last] => format!("Only {} and {last}", first.join(", ")),
    }
}

/// The most roles and groups that the list names.
const MOST_WORDS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_use_an_app_is_said_in_a_few_words() {
        let said = |rules: &[&str]| who(&rules.iter().filter_map(|rule| Rule::parse(rule)).collect::<Vec<_>>());
        assert_eq!([said(&["everyone"]), said(&[])], ["Everybody", "Nobody"]);
        assert_eq!(said(&["role:owner"]), "Only owners");
        assert_eq!(
            said(&["role:admin", "group:Night", "account:acc_1", "account:acc_2"]),
            "Only admins, the group Night and 2 people"
        );
    }
}

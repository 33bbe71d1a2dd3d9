//! The page `/apps/{id}/confirm` for admins: asks before an app is disabled, enabled or removed, or gets a new gate token
//! or secret, and does it. Called by the routes.
//!
//! Invariant: opening the page changes nothing.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{
    secrets::{SecretsPage, Shown},
    set_up::Places,
};
use crate::{
    actions::apps::manage::{self, SecretOf},
    base::{
        db::Conn,
        error::{Error, Result},
        text::is_id,
    },
    records::{
        app::{App, statements},
        session::CurrentUser,
    },
    web::{
        admin::Admin,
        confirmed::{Confirmation, confirmed, explained},
        context::RequestContext,
        forms::Form,
        layout::{self, Page},
    },
};

/// What to do with an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Disable,
    Enable,
    Remove,
    NewToken,
    NewSecret,
}

impl Deed {
    const ALL: [Self; 5] = [Self::Disable, Self::Enable, Self::Remove, Self::NewToken, Self::NewSecret];

    /// Its name in addresses and forms.
    fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Remove => "remove",
            Self::NewToken => "new-token",
            Self::NewSecret => "new-secret",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|deed| deed.word() == word)
    }

    /// The heading, what follows from it, and the label of the button.
    fn in_words(self, app: &str) -> (String, &'static str, &'static str) {
        match self {
            Self::Disable => (
                format!("Disable {app}?"),
                "Nobody can open it, and whoever is using it is shut out, until you enable it again.",
                "Disable",
            ),
            Self::Enable => (format!("Enable {app}?"), "Whoever may use it can open it again.", "Enable"),
            Self::Remove => (
                format!("Remove {app}?"),
                "Nobody can open it any more, and its proxy is refused. To protect it again, add it again.",
                "Remove app",
            ),
            Self::NewToken => (
                format!("A new gate token for {app}?"),
                "The old token stops working at once: until you put the new one into your proxy, nobody can use the app.",
                "Make a new gate token",
            ),
            Self::NewSecret => (
                format!("A new secret for {app}?"),
                "The old secret stops working at once: until its server has the new one, the app is not told about ended sessions.",
                "Make a new secret",
            ),
        }
    }

    /// Whether it takes something away.
    fn ends(self) -> bool {
        self != Self::Enable
    }
}

/// The deed to ask about.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    act: String,
}

/// The fields of the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    act: String,
    current_password: String,
}

#[derive(Template)]
#[template(path = "apps/question.html")]
struct QuestionPage {
    page: Page,
    token: String,
    email: String,
    id: String,
    act: &'static str,
    heading: String,
    lead: &'static str,
    button: &'static str,
    ends: bool,
    asks_password: bool,
    notice: Option<&'static str>,
    password_error: Option<String>,
}

/// `GET /apps/{id}/confirm`
///
/// # Errors
/// [`Error::NotFound`] if there is no such app or deed.
pub async fn show(
    Admin(user): Admin,
    (id, query): (web::Path<String>, web::Query<Query>),
    context: RequestContext,
) -> Result<HttpResponse> {
    let deed = Deed::parse(&query.act).ok_or(Error::NotFound)?;
    let app = find(&context, &id).await?;
    ask(StatusCode::OK, (&context, &user), (&app, deed), (None, None))
}

/// `POST /apps/{id}/confirm`
///
/// # Errors
/// Like [`show`].
pub async fn submit(
    sent: Form<Fields>,
    user: Result<Admin>,
    id: web::Path<String>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let user = match user {
        Ok(Admin(user)) => user,
        Err(error) => return context.go_on_by_login(error, &format!("/apps/{id}")),
    };
    let deed = Deed::parse(&sent.fields.act).ok_or(Error::NotFound)?;
    let app = find(&context, &id).await?;
    let again = |status, notice, wrong| ask(status, (&context, &user), (&app, deed), (notice, wrong));
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.");
        return again(StatusCode::UNPROCESSABLE_ENTITY, notice, None);
    }
    match confirmed(&context, &user, &sent.fields.current_password).await? {
        Ok(confirmation) => match carry_out(&context, &user, (&app, deed), confirmation).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(explained(&context, error).await?),
        },
        Err(not) => again(not.status, None, Some(not.words)),
    }
}

async fn carry_out(
    context: &RequestContext,
    user: &CurrentUser,
    (app, deed): (&App, Deed),
    Confirmation { manager, session_id, .. }: Confirmation,
) -> Result<HttpResponse> {
    let (db, id) = (&context.sessions.db, app.id.as_str());
    let shown = Shown { gate_token: None, secret: None, is_new: false };
    let shown = match deed {
        Deed::Disable => {
            manage::disable(db, &manager, id).await?;
            return Ok(layout::see_other(&format!("/apps/{id}?done=disabled")));
        }
        Deed::Enable => {
            manage::enable(db, &manager, id).await?;
            return Ok(layout::see_other(&format!("/apps/{id}?done=enabled")));
        }
        Deed::Remove => {
            manage::remove(db, &manager, id).await?;
            return Ok(layout::see_other("/apps?done=removed"));
        }
        Deed::NewToken => Shown { gate_token: Some(manage::rotate(db, &manager, id, SecretOf::Gate).await?), ..shown },
        Deed::NewSecret => Shown { secret: Some(manage::rotate(db, &manager, id, SecretOf::Server).await?), ..shown },
    };
    SecretsPage::answer(context, user, app, shown, (Places::default(), session_id))
}

async fn find(context: &RequestContext, id: &str) -> Result<App> {
    if !is_id(id) {
        return Err(Error::NotFound);
    }
    let id = id.to_owned();
    let read = async move |conn: &mut Conn<'_>| statements::by_id(conn, &id).await;
    context.sessions.db.read(read).await?.ok_or(Error::NotFound)
}

fn ask(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    (app, deed): (&App, Deed),
    (notice, password_error): (Option<&'static str>, Option<String>),
) -> Result<HttpResponse> {
    let (heading, lead, button) = deed.in_words(&app.name);
    context.form(|token| {
        let template = QuestionPage {
            page: Page::new(&context.req, &heading),
            token,
            email: user.account.email.clone(),
            id: app.id.clone(),
            act: deed.word(),
            heading: heading.clone(),
            lead,
            button,
            ends: deed.ends(),
            asks_password: !user.is_confirmed(),
            notice,
            password_error,
        };
        layout::answer(status, &template)
    })
}

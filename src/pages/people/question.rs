//! The page `/people/{id}/confirm`: asks before a person is signed out, disabled, enabled, exported or deleted, or loses
//! their second factor, and does it. Called by the routes.
//!
//! Invariant: opening the page changes nothing.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::deed::Deed;
use crate::{
    actions::{
        person::{
            change::{self, Changes, Refused},
            delete, end, export,
        },
        second_factor::reset::reset,
    },
    base::error::{Error, Result},
    records::{account::person::Person, session::CurrentUser},
    web::{
        admin::Admin,
        confirmed::{Confirmation, confirmed, explained},
        context::RequestContext,
        download,
        forms::Form,
        layout::{self, Page},
        target,
    },
};

/// The deed to ask about, and the device or session that it names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    act: String,
    which: String,
}

/// The fields of the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    act: String,
    which: String,
    current_password: String,
}

#[derive(Template)]
#[template(path = "people/question.html")]
struct QuestionPage {
    page: Page,
    token: String,
    email: String,
    id: String,
    act: &'static str,
    which: String,
    heading: String,
    lead: &'static str,
    button: &'static str,
    ends: bool,
    asks_password: bool,
    notice: Option<&'static str>,
    password_error: Option<String>,
}

/// Why the question is asked again.
#[derive(Default)]
struct Again {
    notice: Option<&'static str>,
    password_error: Option<String>,
}

/// `GET /people/{id}/confirm`
///
/// # Errors
/// [`Error::NotFound`] if there is no such person or deed; [`Error::Forbidden`].
pub async fn show(
    Admin(user): Admin,
    (id, query): (web::Path<String>, web::Query<Query>),
    context: RequestContext,
) -> Result<HttpResponse> {
    let deed = Deed::parse(&query.act, &query.which).ok_or(Error::NotFound)?;
    let person = target::find(&context.sessions, &user, &id).await?;
    ask(StatusCode::OK, (&context, &user), (&person, &deed), Again::default())
}

/// `POST /people/{id}/confirm`
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
        Err(error) => return context.go_on_by_login(error, &format!("/people/{id}")),
    };
    let deed = Deed::parse(&sent.fields.act, &sent.fields.which).ok_or(Error::NotFound)?;
    let person = target::find(&context.sessions, &user, &id).await?;
    let again = |status, again| ask(status, (&context, &user), (&person, &deed), again);
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.");
        return again(StatusCode::UNPROCESSABLE_ENTITY, Again { notice, ..Again::default() });
    }
    let confirmation = match confirmed(&context, &user, &sent.fields.current_password).await? {
        Ok(confirmation) => confirmation,
        Err(not) => return again(not.status, Again { password_error: Some(not.words), ..Again::default() }),
    };
    match carry_out(&context, &user, (&person, &deed), confirmation).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(refused)) => {
            again(StatusCode::UNPROCESSABLE_ENTITY, Again { notice: Some(refused.words()), ..Again::default() })
        }
        Err(error) => Err(explained(&context, error).await?),
    }
}

async fn carry_out(
    context: &RequestContext,
    user: &CurrentUser,
    (person, deed): (&Person, &Deed),
    Confirmation { manager, .. }: Confirmation,
) -> Result<Result<HttpResponse, Refused>> {
    let (db, letters, id) = (&context.sessions.db, &context.sessions.letters, person.account.id.as_str());
    let is_self = id == user.account.id;
    match deed {
        Deed::SignOut(which) => {
            end::end(db, &manager, id, which.clone()).await?;
        }
        Deed::Disable | Deed::Enable => {
            let changes = Changes { disabled: Some(*deed == Deed::Disable), ..Changes::default() };
            if let Err(refused) = change::change(db, letters, (&manager, id), changes).await? {
                return Ok(Err(refused));
            }
        }
        Deed::ResetSecondFactor => {
            reset(db, letters, &manager, id).await?;
        }
        Deed::Export => return download::json("person.json", &export::of_person(db, &manager, id).await?).map(Ok),
        Deed::Delete => {
            if let Err(refused) = delete::delete(db, &manager, id).await? {
                return Ok(Err(refused));
            }
        }
    }
    if is_self && *deed == Deed::Delete {
        context.goodbye(true);
        return Ok(Ok(layout::see_other("/login?done=deleted")));
    }
    let done = deed.done();
    Ok(Ok(layout::see_other(&match deed {
        Deed::Delete => format!("/people?done={done}"),
        _ => format!("/people/{id}?done={done}"),
    })))
}

fn ask(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    (person, deed): (&Person, &Deed),
    again: Again,
) -> Result<HttpResponse> {
    let (heading, lead, button) = deed.in_words(&person.account.name);
    context.form(|token| {
        let template = QuestionPage {
            page: Page::new(&context.req, &heading),
            token,
            email: user.account.email.clone(),
            id: person.account.id.clone(),
            act: deed.word(),
            which: deed.which(),
            heading: heading.clone(),
            lead,
            button,
            ends: deed.ends(),
            asks_password: !user.is_confirmed(),
            notice: again.notice,
            password_error: again.password_error,
        };
        layout::answer(status, &template)
    })
}

//! People as JSON. Called by the routes.
//!
//! Invariant: every change and every export needs a recent confirmation, which the actions check.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::{
    actions::{
        apps::manager::Manager,
        person::{
            change::{self, Changes},
            delete, end, export,
        },
    },
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account::{self, EmailAddress, Role, groups, person::Person, search},
        session::{
            CurrentUser,
            people::{self, PersonView},
        },
    },
    web::{
        admin::Admin,
        confirmed::explained,
        context::RequestContext,
        json::{Anything, Object},
        rates::Act,
        target,
    },
};

/// People per page if the client sets no limit.
const DEFAULT_LIMIT: i64 = 50;

/// The body of `PATCH /api/people/{id}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Patch {
    name: Option<String>,
    email: Option<String>,
    role: Option<String>,
    groups: Option<Vec<String>>,
    disabled: Option<bool>,
}

impl Patch {
    fn check(self) -> Result<Changes> {
        let name = self.name.map(|name| account::display_name(&name)).transpose()?;
        if name.as_ref().is_some_and(String::is_empty) {
            return Err(Error::Invalid("`name` must not be empty".into()));
        }
        let role = |word: String| {
            Role::from_word(&word).ok_or_else(|| Error::Invalid("`role` must be owner, admin or member".into()))
        };
        let groups = self.groups.map(|names| groups::joined(names.iter().map(String::as_str)));
        Ok(Changes {
            name,
            email: self.email.map(|email| EmailAddress::parse(&email)).transpose()?,
            role: self.role.map(role).transpose()?,
            groups: groups.transpose()?,
            disabled: self.disabled,
        })
    }
}

/// `GET /api/people?query=TEXT&before=CURSOR&limit=N`
///
/// # Errors
/// [`Error::Invalid`] for an invalid query.
pub async fn list(
    _: Admin,
    query: web::Query<HashMap<String, String>>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let limit = match query.get("limit") {
        None => DEFAULT_LIMIT,
        Some(typed) => {
            typed.parse().ok().filter(|limit| (1..=search::MOST_A_PAGE).contains(limit)).ok_or_else(|| {
                Error::Invalid(format!("limit must be a whole number from 1 to {}", search::MOST_A_PAGE))
            })?
        }
    };
    let before = query.get("before").map(|text| search::Cursor::parse(text)).transpose()?;
    let words = query.get("query").cloned().unwrap_or_default();
    let read = async move |conn: &mut Conn<'_>| {
        let page = search::page(conn, &words, before.clone(), limit).await?;
        Ok((people::with_usage(conn, page.people).await?, page.next))
    };
    let (people, next) = context.sessions.db.read(read).await?;
    let people: Vec<PersonView> = people.iter().map(|(person, usage)| PersonView::new(person, usage)).collect();
    Ok(HttpResponse::Ok().json(match next {
        Some(next) => json!({ "people": people, "next": next.to_string() }),
        None => json!({ "people": people }),
    }))
}

/// `GET /api/people/{id}`
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Forbidden`].
pub async fn show(Admin(user): Admin, id: web::Path<String>, context: RequestContext) -> Result<HttpResponse> {
    let person = target::find(&context.sessions, &user, &id).await?;
    answer(&context, person).await
}

/// `PATCH /api/people/{id}`
///
/// # Errors
/// [`Error::Conflict`] for an address that is taken, and for the last owner; those of the actions on people.
pub async fn patch(
    Admin(user): Admin,
    id: web::Path<String>,
    web::Json(Object(sent)): web::Json<Object<Patch>>,
    context: RequestContext,
) -> Result<HttpResponse> {
    target::find(&context.sessions, &user, &id).await?;
    let changes = sent.check()?;
    let by = manager(&context, &user)?;
    match change::change(&context.sessions.db, &context.sessions.letters, (&by, &id), changes).await {
        Ok(Ok(changed)) => answer(&context, changed.person).await,
        Ok(Err(refused)) => Err(refused.into()),
        Err(error) => Err(explained(&context, error).await?),
    }
}

/// `DELETE /api/people/{id}`
///
/// # Errors
/// [`Error::Conflict`] for the last owner; those of the actions on people.
pub async fn delete(Admin(user): Admin, id: web::Path<String>, context: RequestContext) -> Result<HttpResponse> {
    let by = manager(&context, &user)?;
    match delete::delete(&context.sessions.db, &by, &id).await {
        Ok(Ok(())) => {
            if *id == user.account.id {
                context.goodbye(true);
            }
            Ok(HttpResponse::NoContent().finish())
        }
        Ok(Err(refused)) => Err(refused.into()),
        Err(error) => Err(explained(&context, error).await?),
    }
}

/// `POST /api/people/{id}/revoke-sessions`
///
/// # Errors
/// Those of the actions on people.
pub async fn revoke_sessions(
    Admin(user): Admin,
    id: web::Path<String>,
    _: Anything,
    context: RequestContext,
) -> Result<HttpResponse> {
    let by = manager(&context, &user)?;
    match end::end(&context.sessions.db, &by, &id, end::Which::All).await {
        Ok(ended) => {
            if *id == user.account.id {
                context.goodbye(true);
            }
            Ok(HttpResponse::Ok().json(json!({ "revoked": ended })))
        }
        Err(error) => Err(explained(&context, error).await?),
    }
}

/// `GET /api/people/{id}/export`
///
/// # Errors
/// Those of the actions on people.
pub async fn export(Admin(user): Admin, id: web::Path<String>, context: RequestContext) -> Result<HttpResponse> {
    let by = manager(&context, &user)?;
    match export::of_person(&context.sessions.db, &by, &id).await {
        Ok(kept) => Ok(HttpResponse::Ok().json(kept)),
        Err(error) => Err(explained(&context, error).await?),
    }
}

fn manager(context: &RequestContext, user: &CurrentUser) -> Result<Manager> {
    context.count(Act::Change, user, 1)?;
    Ok(Manager::person(user, user.acting(), context.facts.ip.as_deref()))
}

async fn answer(context: &RequestContext, person: Person) -> Result<HttpResponse> {
    let read = async move |conn: &mut Conn<'_>| people::with_usage(conn, vec![person.clone()]).await;
    let people = context.sessions.db.read(read).await?;
    let (person, usage) = people.into_iter().next().ok_or(Error::NotFound)?;
    Ok(HttpResponse::Ok().json(PersonView::new(&person, &usage)))
}

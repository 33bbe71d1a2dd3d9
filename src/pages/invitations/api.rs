//! The JSON API for invitations and links for a new password. Called by the routes.
//!
//! Invariant: every call needs a recent confirmation, which its action checks.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::shown::LINK;
use crate::{
    actions::{
        apps::manager::Manager,
        links::{
            invite::{self, Invitation, Invited},
            password_link,
        },
    },
    base::{
        error::{Error, Result},
        text::is_id,
    },
    records::{
        account::{self, EmailAddress, Role, groups},
        link::Made,
        session::CurrentUser,
    },
    web::{
        admin::Admin,
        context::RequestContext,
        json::{Anything, Object},
        one_time_link::{self, LinkView},
        rates::Act,
    },
};

/// The body of `POST /api/people/invitations`.
#[derive(Debug, Deserialize)]
pub struct Body {
    email: String,
    name: Option<String>,
    role: Option<String>,
    groups: Option<Vec<String>>,
}

/// `POST /api/people/invitations`
///
/// # Errors
/// [`Error::Conflict`] if the account exists; [`Error::Forbidden`] for a role that the admin cannot give;
/// [`Error::ConfirmationRequired`].
pub async fn invite(
    Admin(user): Admin,
    sent: web::Json<Object<Body>>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let Object(Body { email, name, role, groups }) = sent.into_inner();
    let role = role.map(|role| Role::from_word(&role).ok_or_else(|| invalid("role is not owner, admin or member")));
    let invitation = Invitation {
        email: EmailAddress::parse(&email).map_err(|_| invalid("email is not an e-mail address"))?,
        name: name.as_deref().map(account::display_name).transpose()?,
        role: role.transpose()?,
        groups: groups.map(|groups| groups::joined(groups.iter().map(String::as_str))).transpose()?,
        life: invite::LIFE,
    };
    context.count(Act::Change, &user, 1)?;
    match invite::invite(&context.sessions.db, &context.sessions.letters, &manager(&context, &user), invitation).await?
    {
        Invited::Yes { made, .. } => Ok(created(&context, &made)),
        Invited::Exists => Err(Error::Conflict("there is already an account with this e-mail address".into())),
    }
}

/// `POST /api/people/{id}/password-link`
///
/// # Errors
/// [`Error::NotFound`] if there is no such account; [`Error::Forbidden`] for somebody beside or above the admin;
/// [`Error::Conflict`] for an account that is disabled or has no password yet; [`Error::ConfirmationRequired`].
pub async fn password_link(
    Admin(user): Admin,
    id: web::Path<String>,
    _: Anything,
    context: RequestContext,
) -> Result<HttpResponse> {
    if !is_id(&id) {
        return Err(Error::NotFound);
    }
    context.count(Act::Change, &user, 1)?;
    let (db, letters) = (&context.sessions.db, &context.sessions.letters);
    let by = manager(&context, &user);
    let made = password_link::make(db, letters, &by, (&id, password_link::LIFE)).await?;
    Ok(created(&context, &made))
}

fn manager(context: &RequestContext, user: &CurrentUser) -> Manager {
    Manager::person(user, user.acting(), context.facts.ip.as_deref())
}

fn created(context: &RequestContext, made: &Made) -> HttpResponse {
    let link = one_time_link::address(context.site.public.origin(), made, LINK);
    HttpResponse::Created().json(LinkView::new(link, made))
}

fn invalid(words: &str) -> Error {
    Error::Invalid(words.to_owned())
}

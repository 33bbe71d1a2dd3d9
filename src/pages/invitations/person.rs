//! The page `/people/{id}/link` for admins: makes a link for a person, or cancels an invitation. It asks first. Called by the
//! routes.
//!
//! Invariant: opening the page changes nothing.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::shown::{self, Words};
use crate::{
    actions::links::{
        invite::{self, Invitation, Invited},
        password_link,
    },
    base::error::{Error, Result},
    records::{
        account::{Account, EmailAddress, person::Person},
        session::CurrentUser,
    },
    web::{
        admin::Admin,
        confirmed::{Confirmation, confirmed, explained},
        context::RequestContext,
        forms::Form,
        layout::{self, Page},
        target,
    },
};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Make a link for a new password.
    Password,
    /// Make a new link for an invitation.
    InviteAgain,
    /// Make the link of an invitation stop working.
    Cancel,
}

impl Deed {
    /// The deed with this word. Without one, the deed that fits the person.
    fn parse(word: &str, person: &Person) -> Option<Self> {
        match word {
            "" if person.is_invited() => Some(Self::InviteAgain),
            "" | "password" => Some(Self::Password),
            "invite" => Some(Self::InviteAgain),
            "cancel" => Some(Self::Cancel),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::InviteAgain => "invite",
            Self::Cancel => "cancel",
        }
    }

    /// The heading, what follows from it, and the label of the button.
    fn in_words(self, name: &str) -> (String, &'static str, &'static str) {
        match self {
            Self::Password => (
                format!("A link for {name} to choose a new password?"),
                "Hand it over yourself, and only to them: whoever has it can sign in as them. Their old password works \
                 until they use the link.",
                "Make the link",
            ),
            Self::InviteAgain => {
                (format!("Invite {name} again?"), "You get a new link. The old one stops working.", "Make the link")
            }
            Self::Cancel => {
                (format!("Cancel the invitation of {name}?"), "The link stops working.", "Cancel the invitation")
            }
        }
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
#[template(path = "invitations/question.html")]
struct QuestionPage {
    page: Page,
    token: String,
    own_email: String,
    id: String,
    act: &'static str,
    heading: String,
    lead: &'static str,
    button: &'static str,
    ends: bool,
    asks_password: bool,
    notice: Option<String>,
    password_error: Option<String>,
}

/// `GET /people/{id}/link`
///
/// # Errors
/// [`Error::NotFound`] if there is no such person or deed; [`Error::Forbidden`] for somebody beside or above the admin.
pub async fn show(
    Admin(user): Admin,
    (id, query): (web::Path<String>, web::Query<Query>),
    context: RequestContext,
) -> Result<HttpResponse> {
    let person = target::find(&context.sessions, &user, &id).await?;
    let deed = Deed::parse(&query.act, &person).ok_or(Error::NotFound)?;
    ask(StatusCode::OK, (&context, &user), (&person.account, deed), (None, None))
}

/// `POST /people/{id}/link`
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
        Err(error) => return context.go_on_by_login(error, context.req.path()),
    };
    let person = target::find(&context.sessions, &user, &id).await?;
    let deed = Deed::parse(&sent.fields.act, &person).ok_or(Error::NotFound)?;
    let again = |status, notice, wrong| ask(status, (&context, &user), (&person.account, deed), (notice, wrong));
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.".to_owned());
        return again(StatusCode::UNPROCESSABLE_ENTITY, notice, None);
    }
    let confirmation = match confirmed(&context, &user, &sent.fields.current_password).await? {
        Ok(confirmation) => confirmation,
        Err(not) => return again(not.status, None, Some(not.words)),
    };
    match carry_out(&context, &user, (&person.account, deed), confirmation).await {
        Ok(answer) => Ok(answer),
        Err(Error::Conflict(words)) => {
            again(StatusCode::CONFLICT, Some(format!("This cannot be done: {words}.")), None)
        }
        Err(error) => Err(explained(&context, error).await?),
    }
}

async fn carry_out(
    context: &RequestContext,
    user: &CurrentUser,
    (person, deed): (&Account, Deed),
    Confirmation { manager, session_id, .. }: Confirmation,
) -> Result<HttpResponse> {
    let (db, letters) = (&context.sessions.db, &context.sessions.letters);
    let label = format!("Link for {}", person.email);
    let back = format!("/people/{}", person.id);
    match deed {
        Deed::Password => {
            let made = password_link::make(db, letters, &manager, (&person.id, password_link::LIFE)).await?;
            let heading = format!("A new password for {}", person.name);
            let lead = "Give them this link, or let them point their phone at the code.";
            shown::answer((context, user), &made, Words { heading, lead, label, back, session_id })
        }
        Deed::InviteAgain => {
            let email = EmailAddress::known(&person.email)?;
            let invitation = Invitation { email, name: None, role: None, groups: None, life: invite::LIFE };
            let Invited::Yes { made, .. } = invite::invite(db, letters, &manager, invitation).await? else {
                return Err(Error::Conflict("they have chosen a password meanwhile".into()));
            };
            let heading = format!("{} is invited", person.name);
            let lead = "Send them this link, or let them point their phone at the code.";
            shown::answer((context, user), &made, Words { heading, lead, label, back, session_id })
        }
        Deed::Cancel => {
            invite::cancel(db, &manager, &person.id).await?;
            Ok(layout::see_other(&format!("/people/{}?done=cancelled", person.id)))
        }
    }
}

fn ask(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    (person, deed): (&Account, Deed),
    (notice, password_error): (Option<String>, Option<String>),
) -> Result<HttpResponse> {
    let (heading, lead, button) = deed.in_words(&person.name);
    context.form(|token| {
        let template = QuestionPage {
            page: Page::new(&context.req, &heading),
            token,
            own_email: user.account.email.clone(),
            id: person.id.clone(),
            act: deed.word(),
            heading: heading.clone(),
            lead,
            button,
            ends: deed == Deed::Cancel,
            asks_password: !user.is_confirmed(),
            notice,
            password_error,
        };
        layout::answer(status, &template)
    })
}

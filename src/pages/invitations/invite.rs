//! The page `/people/invite` for admins: invites somebody, and shows the link. Called by the routes.
//!
//! Invariant: opening the page changes nothing.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use serde::Deserialize;

use super::shown::{self, Words};
use crate::{
    actions::links::invite::{self, Invitation, Invited},
    base::error::{Error, Result},
    records::{
        account::{self, EmailAddress, Role, groups},
        session::CurrentUser,
    },
    web::{
        admin::Admin,
        confirmed::{Confirmation, confirmed, explained, of_session},
        context::RequestContext,
        forms::{self, Form},
        layout::{self, Page},
    },
};

/// The fields of the form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    email: String,
    name: String,
    role: String,
    /// Divided by commas.
    groups: String,
    current_password: String,
}

/// The messages beside the fields.
#[derive(Debug, Default)]
struct Wrong {
    email: Option<String>,
    name: Option<String>,
    role: Option<String>,
    groups: Option<String>,
    password: Option<String>,
}

#[derive(Template)]
#[template(path = "invitations/invite.html")]
struct InvitePage {
    page: Page,
    token: String,
    own_email: String,
    notice: Option<String>,
    typed: Fields,
    wrong: Wrong,
    roles: Vec<RoleChoice>,
    asks_password: bool,
}

struct RoleChoice {
    word: &'static str,
    label: &'static str,
    hint: &'static str,
    is_chosen: bool,
}

/// What the page shows.
#[derive(Default)]
struct Again {
    notice: Option<String>,
    typed: Fields,
    wrong: Wrong,
    session_id: Option<String>,
}

/// `GET /people/invite`
pub async fn show(Admin(user): Admin, context: RequestContext) -> Result<HttpResponse> {
    draw(StatusCode::OK, &context, &user, Again::default())
}

/// `POST /people/invite`
pub async fn submit(sent: Form<Fields>, user: Result<Admin>, context: RequestContext) -> Result<HttpResponse> {
    let user = match user {
        Ok(Admin(user)) => user,
        Err(error) => return context.go_on_by_login(error, context.req.path()),
    };
    let typed = sent.fields;
    let shown = |wrong| Again { typed: typed.clone(), wrong, ..Again::default() };
    let refuse = |status, again| draw(status, &context, &user, again);
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.".to_owned());
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, Again { notice, ..shown(Wrong::default()) });
    }
    let invitation = match typed.invitation() {
        Ok(invitation) => invitation,
        Err(wrong) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, shown(*wrong)),
    };
    let Confirmation { manager, session_id, .. } = match confirmed(&context, &user, &typed.current_password).await? {
        Ok(confirmation) => confirmation,
        Err(not) => return refuse(not.status, shown(Wrong { password: Some(not.words), ..Wrong::default() })),
    };
    let email = invitation.email.clone();
    match invite::invite(&context.sessions.db, &context.sessions.letters, &manager, invitation).await {
        Ok(Invited::Yes { made, .. }) => {
            let words = words(&typed, &email, session_id);
            shown::answer((&context, &user), &made, words)
        }
        Ok(Invited::Exists) => {
            let email = Some("There is already an account with this email.".to_owned());
            let again = Again { session_id, ..shown(Wrong { email, ..Wrong::default() }) };
            refuse(StatusCode::UNPROCESSABLE_ENTITY, again)
        }
        Err(error) => Err(explained(&context, error).await?),
    }
}

fn words(typed: &Fields, email: &EmailAddress, session_id: Option<String>) -> Words {
    let name = typed.name.trim();
    let who = if name.is_empty() { email.as_str() } else { name };
    Words {
        heading: format!("{who} is invited"),
        lead: "Send them this link, or let them point their phone at the code.",
        label: format!("Link for {}", email.as_str()),
        back: "/people".to_owned(),
        session_id,
    }
}

impl Fields {
    fn invitation(&self) -> Result<Invitation, Box<Wrong>> {
        let (email, name) = (EmailAddress::parse(&self.email), account::display_name(&self.name));
        let role = if self.role.is_empty() { Some(Role::Member) } else { Role::from_word(&self.role) };
        let groups = groups::joined(self.groups.split(',').map(str::trim).filter(|group| !group.is_empty()));
        match (email, name, role, groups) {
            (Ok(email), Ok(name), Some(role), Ok(groups)) => {
                Ok(Invitation { email, name: Some(name), role: Some(role), groups: Some(groups), life: invite::LIFE })
            }
            (email, name, role, groups) => {
                let words = |error: Error| error.to_string();
                Err(Box::new(Wrong {
                    email: email.err().map(words),
                    name: name.err().map(words),
                    role: role.is_none().then(|| "Choose one of these roles.".to_owned()),
                    groups: groups.err().map(words),
                    password: None,
                }))
            }
        }
    }
}

/// The roles that somebody with this role can give.
fn roles(own: Role, chosen: &str) -> Vec<RoleChoice> {
    let all = [
        (Role::Member, "Member", "Has an account, and opens apps."),
        (Role::Admin, "Admin", "Also manages people and apps."),
        (Role::Owner, "Owner", "Can do everything."),
    ];
    all.into_iter()
        .filter(|(role, ..)| own.may_give(*role))
        .map(|(role, label, hint)| {
            let is_chosen = role.as_str() == chosen || (chosen.is_empty() && role == Role::Member);
            RoleChoice { word: role.as_str(), label, hint, is_chosen }
        })
        .collect()
}

fn draw(status: StatusCode, context: &RequestContext, user: &CurrentUser, again: Again) -> Result<HttpResponse> {
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, "Invite somebody").of(&user.account, &token, "people");
    let asks_password = !user.is_confirmed() && again.session_id.is_none();
    let template = InvitePage {
        page: of_session(page, again.session_id),
        token: token.value,
        own_email: user.account.email.clone(),
        notice: again.notice,
        roles: roles(user.account.role, &again.typed.role),
        typed: again.typed,
        wrong: again.wrong,
        asks_password,
    };
    layout::answer(status, &template)
}

//! The page `/people/{id}`: a person's settings, sign-ins and activity, and the ways to close or export the account.
//! Called by the routes.
//!
//! Invariant: a reader sees the page of those people only on whom they may act.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{
    fields::{PersonFields, RoleChoice, Wrong},
    sign_ins::{self, DeviceRow},
};
use crate::{
    actions::person::change::{self, Changed},
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account::{Role, person::Person},
        audit::{self, Recorded},
        mail,
        session::{
            CurrentUser,
            arrivals::{self, Arrivals},
            devices::{self, InUse},
            people::{self, Usage},
        },
    },
    web::{
        activity_words::{Doubtful, EventRow},
        admin::Admin,
        confirmed::{Confirmation, confirmed, explained, of_session},
        context::RequestContext,
        forms::{self, Form},
        layout::{self, Page, When},
        manager_words::{self, Names},
        target,
    },
};

/// Events that the page shows.
const MOST_EVENTS: i64 = 30;

/// The action to report as done.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    done: String,
}

#[derive(Template)]
#[template(path = "people/one.html")]
struct OnePage {
    page: Page,
    token: String,
    /// The reader's own address, for their password manager.
    reader: String,
    done: Option<&'static str>,
    notice: Option<&'static str>,
    id: String,
    name: String,
    email: String,
    role: Option<&'static str>,
    is_disabled: bool,
    is_invited: bool,
    has_second_factor: bool,
    /// Whether it is the reader's own page.
    is_self: bool,
    /// When the link of the invitation stops working. `None` if none works.
    invited_until: Option<When>,
    /// The address that counts once it is verified.
    new_email: Option<String>,
    refused: Vec<RefusedMail>,
    leaves: Option<When>,
    since: When,
    devices: Vec<DeviceRow>,
    is_signed_in: bool,
    events: Vec<EventRow>,
    typed: PersonFields,
    roles: Vec<RoleChoice>,
    wrong: Wrong,
    asks_password: bool,
}

/// A mail that no server accepted.
struct RefusedMail {
    to: String,
    words: String,
    when: When,
}

/// What the page shows beside the person.
#[derive(Default)]
struct Again {
    done: Option<&'static str>,
    notice: Option<&'static str>,
    /// `None`: the settings as they are.
    typed: Option<PersonFields>,
    wrong: Wrong,
    session_id: Option<String>,
}

/// `GET /people/{id}`
///
/// # Errors
/// [`Error::NotFound`] and
/// [`Error::Forbidden`].
pub async fn show(
    Admin(user): Admin,
    id: web::Path<String>,
    query: web::Query<Query>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let done = match query.done.as_str() {
        "saved" => Some("The changes are saved."),
        "email-asked" => {
            Some("The changes are saved. The new address counts once the link in the mail to it was used.")
        }
        "cancelled" => Some("The invitation is cancelled: its link no longer works."),
        "disabled" => Some("The account is disabled, and signed out everywhere."),
        "second-factor-removed" => Some("The second factor is removed, and the person is signed out everywhere."),
        "enabled" => Some("The account is enabled again."),
        "signed-out" => Some("The person is signed out there."),
        "signed-out-everywhere" => Some("The person is signed out everywhere."),
        _ => None,
    };
    draw(StatusCode::OK, (&context, &user), &id, Again { done, ..Again::default() }).await
}

/// `POST /people/{id}`: saves the settings.
///
/// # Errors
/// Like [`show`].
pub async fn submit(
    sent: Form<PersonFields>,
    user: Result<Admin>,
    id: web::Path<String>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let user = match user {
        Ok(Admin(user)) => user,
        Err(error) => return context.go_on_by_login(error, context.req.path()),
    };
    let typed = sent.fields;
    let shown = |wrong| Again { typed: Some(typed.clone()), wrong, ..Again::default() };
    let refuse = |status, again| draw(status, (&context, &user), &id, again);
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.");
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, Again { notice, ..shown(Wrong::default()) }).await;
    }
    let person = target::find(&context.sessions, &user, &id).await?;
    let changes = match typed.changes(&person) {
        Ok(changes) => changes,
        Err(wrong) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, shown(*wrong)).await,
    };
    if changes.email.is_some() && person.account.id == user.account.id && user.lacks_second_factor() {
        let words = "Change your own address on your account page: it asks for your second factor first.".to_owned();
        let wrong = Wrong { email: Some(words), ..Wrong::default() };
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, shown(wrong)).await;
    }
    let Confirmation { manager, session_id, .. } = match confirmed(&context, &user, &typed.current_password).await? {
        Ok(confirmation) => confirmation,
        Err(not) => return refuse(not.status, shown(Wrong { password: Some(not.words), ..Wrong::default() })).await,
    };
    match change::change(&context.sessions.db, &context.sessions.letters, (&manager, &id), changes).await {
        Ok(Ok(changed)) => Ok(layout::see_other(&after(&user, (&person, &changed), &typed))),
        Ok(Err(refused)) => {
            let again = Again { session_id, ..shown(Wrong::of(refused)) };
            refuse(StatusCode::UNPROCESSABLE_ENTITY, again).await
        }
        Err(Error::TooManyAttempts(_)) => {
            let email = Some("Too many new addresses within an hour. Try again later.".to_owned());
            let again = Again { session_id, ..shown(Wrong { email, ..Wrong::default() }) };
            refuse(StatusCode::TOO_MANY_REQUESTS, again).await
        }
        Err(error) => Err(explained(&context, error).await?),
    }
}

/// Where to go after the change. The reader may no longer act on the person, or on anybody.
fn after(user: &CurrentUser, (person, changed): (&Person, &Changed), typed: &PersonFields) -> String {
    let role = typed.role().unwrap_or(person.account.role);
    let is_self = person.account.id == user.account.id;
    match () {
        () if is_self && role == Role::Member => "/account".to_owned(),
        () if is_self && role != Role::Owner || !is_self && role == Role::Owner => "/people".to_owned(),
        () => {
            let done = if changed.is_email_asked { "email-asked" } else { "saved" };
            format!("/people/{}?done={done}", person.account.id)
        }
    }
}

/// What is read about the person.
struct Known {
    in_use: InUse,
    events: Vec<Recorded>,
    names: Names,
    /// New devices of the reader.
    arrivals: Arrivals,
    usage: Usage,
    refused: Vec<mail::Refused>,
}

async fn read(context: &RequestContext, user: &CurrentUser, id: &str) -> Result<Known> {
    let (who, asked) = (user.who(), id.to_owned());
    let read = async move |conn: &mut Conn<'_>| {
        let events = audit::newest_before(conn, &asked, None, MOST_EVENTS).await?;
        Ok(Known {
            in_use: devices::in_use(conn, &asked).await?,
            names: manager_words::names(conn, &asked, &events).await?,
            events,
            arrivals: arrivals::list(conn, &who.account_id, who.device_id.as_deref()).await?,
            usage: people::usage(conn, &[&asked]).await?.remove(&asked).unwrap_or_default(),
            refused: mail::refused(conn, &asked).await?,
        })
    };
    context.sessions.db.read(read).await
}

async fn draw(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    id: &str,
    again: Again,
) -> Result<HttpResponse> {
    let person = target::find(&context.sessions, user, id).await?;
    let Known { in_use, events, names, arrivals, usage, refused } = read(context, user, id).await?;
    let living = context.sessions.overlaid(in_use.living);
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, &person.account.name).of(&user.account, &token, "people");
    let asks_password = !user.is_confirmed() && again.session_id.is_none();
    let template = OnePage {
        page: of_session(page.asking(&context.req, &arrivals, user.now), again.session_id),
        token: token.value,
        reader: user.account.email.clone(),
        done: again.done,
        notice: again.notice,
        role: (person.account.role != Role::Member).then(|| person.account.role.label()),
        is_disabled: person.is_disabled(),
        is_invited: person.is_invited(),
        has_second_factor: person.account.has_second_factor(),
        is_self: person.account.id == user.account.id,
        invited_until: usage.invited_until.map(|at| When::until(at, user.now)),
        new_email: usage.new_email,
        refused: refused.into_iter().map(|mail| RefusedMail::new(mail, user)).collect(),
        leaves: person.deletes_at().map(|at| When::until(at, user.now)),
        since: When::past(person.created_at, user.now),
        is_signed_in: !living.is_empty(),
        devices: sign_ins::rows(in_use.devices, &living, user),
        events: EventRow::rows(&events, user.now, (&Doubtful::default(), &names)),
        roles: RoleChoice::all(user.account.role, &person, again.typed.as_ref()),
        typed: again.typed.unwrap_or_else(|| PersonFields::of(&person)),
        wrong: again.wrong,
        asks_password,
        id: person.account.id,
        name: person.account.name,
        email: person.account.email,
    };
    layout::answer(status, &template)
}

impl RefusedMail {
    fn new(mail: mail::Refused, user: &CurrentUser) -> Self {
        Self { to: mail.recipient, words: mail.words, when: When::past(mail.at, user.now) }
    }
}

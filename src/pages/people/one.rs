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
    target,
};
use crate::{
    actions::person::change,
    base::{db::Conn, error::Result},
    records::{
        account::{Role, person::Person},
        audit::{self, Recorded},
        session::{
            CurrentUser, arrivals,
            devices::{self, InUse},
        },
    },
    web::{
        activity_words::{Doubtful, EventRow},
        admin::Admin,
        confirmed::{Confirmation, confirmed, explained, of_session},
        context::RequestContext,
        forms::{self, Form},
        layout::{self, Page, When},
        manager_words,
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
/// [`Error::NotFound`](crate::base::error::Error::NotFound) and
/// [`Error::Forbidden`](crate::base::error::Error::Forbidden).
pub async fn show(
    Admin(user): Admin,
    id: web::Path<String>,
    query: web::Query<Query>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let done = match query.done.as_str() {
        "saved" => Some("The changes are saved."),
        "disabled" => Some("The account is disabled, and signed out everywhere."),
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
    let Confirmation { manager, session_id, .. } = match confirmed(&context, &user, &typed.current_password).await? {
        Ok(confirmation) => confirmation,
        Err(not) => return refuse(not.status, shown(Wrong { password: Some(not.words), ..Wrong::default() })).await,
    };
    match change::change(&context.sessions.db, &manager, &id, changes).await {
        Ok(Ok(_)) => Ok(layout::see_other(&after(&user, &person, &typed))),
        Ok(Err(refused)) => {
            let again = Again { session_id, ..shown(Wrong::of(refused)) };
            refuse(StatusCode::UNPROCESSABLE_ENTITY, again).await
        }
        Err(error) => Err(explained(&context, error).await?),
    }
}

/// Where to go after the change. The reader may no longer act on the person, or on anybody.
fn after(user: &CurrentUser, person: &Person, typed: &PersonFields) -> String {
    let role = typed.role().unwrap_or(person.account.role);
    let is_self = person.account.id == user.account.id;
    match () {
        () if is_self && role == Role::Member => "/account".to_owned(),
        () if is_self && role != Role::Owner || !is_self && role == Role::Owner => "/people".to_owned(),
        () => format!("/people/{}?done=saved", person.account.id),
    }
}

async fn draw(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    id: &str,
    again: Again,
) -> Result<HttpResponse> {
    let person = target::find(&context.sessions, user, id).await?;
    let (who, asked) = (user.who(), id.to_owned());
    let read = async move |conn: &mut Conn<'_>| {
        let in_use = devices::in_use(conn, &asked).await?;
        let events = audit::newest_before(conn, &asked, None, MOST_EVENTS).await?;
        let names = manager_words::names(conn, &asked, &events).await?;
        let arrivals = arrivals::list(conn, &who.account_id, who.device_id.as_deref()).await?;
        Ok((in_use, events, names, arrivals))
    };
    let (InUse { devices, living, .. }, events, names, arrivals) = context.sessions.db.read(read).await?;
    let living = context.sessions.overlaid(living);
    let events: Vec<Recorded> = events;
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
        is_disabled: person.disabled_at.is_some(),
        leaves: person.deletes_at().map(|at| When::until(at, user.now)),
        since: When::past(person.created_at, user.now),
        is_signed_in: !living.is_empty(),
        devices: sign_ins::rows(devices, &living, user),
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

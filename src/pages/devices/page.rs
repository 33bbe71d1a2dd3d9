//! The page `/devices`: a row for each device, with its actions. All forms are submitted to the page itself, which
//! tells them apart by their fields. Forms of other pages that end sessions are submitted here too.
//!
//! Invariant: an ending that reaches beyond one session is carried out only after the person confirmed it.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;
use url::form_urlencoded;

use super::{
    act,
    cards::{self, Card, RefusedName},
};
use crate::{
    actions::{
        devices,
        end_sessions::{self, Ending},
    },
    base::{
        db::Conn,
        error::{Error, Result},
        text::is_id,
    },
    records::{
        device::{self, known},
        session::{
            CurrentUser, arrivals,
            devices::{self as session_devices, InUse},
            listing,
        },
    },
    web::{
        context::RequestContext,
        form_again::with_retry,
        forms::{self, Form},
        layout::{self, Page},
        rates::Act,
        return_to,
        signed_out::signed_out,
    },
};

/// The action to report as done.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    done: String,
    /// Present to offer a new name for this device.
    name: Option<String>,
}

/// The fields of all forms: an ending, a new device to acknowledge, or a device's new name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    ending: Option<String>,
    known: Option<String>,
    device: Option<String>,
    name: String,
    next: String,
    /// Present if the person has answered the confirmation question.
    sure: Option<String>,
}

#[derive(Template)]
#[template(path = "devices/devices.html")]
struct DevicesPage {
    page: Page,
    token: String,
    done: Option<&'static str>,
    notice: Option<&'static str>,
    cards: Vec<Card>,
    /// Whether a device in the list is not signed in.
    has_former: bool,
    /// Whether there is a live session besides the current one.
    has_others: bool,
    /// The number of other devices with a live session.
    elsewhere: usize,
}

/// The messages and input that the page shows.
#[derive(Default)]
struct Again {
    done: Option<&'static str>,
    notice: Option<&'static str>,
    refused: Option<RefusedName>,
    /// Whether the menu of this device is open.
    names_this: bool,
}

/// `GET /devices`
pub async fn show(query: web::Query<Query>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let done = match query.done.as_str() {
        "signed-out" => Some("That device is signed out."),
        "others" => Some("You are signed out everywhere else."),
        "forgotten" => Some("That device is signed out and removed."),
        "renamed" => Some("The new name is saved."),
        "known" => Some("You will not be asked about that device again."),
        _ => None,
    };
    draw(StatusCode::OK, &context, &user, Again { done, names_this: query.name.is_some(), ..Again::default() }).await
}

/// `POST /devices`
///
/// # Errors
/// [`Error::NotFound`] when the account has no such session or device.
pub async fn submit(sent: Form<Fields>, user: Result<CurrentUser>, context: RequestContext) -> Result<HttpResponse> {
    let Fields { ending, known, device, name, next, sure } = sent.fields;
    let next = return_to::own_address(&context.site.public, &next);
    let user = match user {
        Ok(user) => user,
        Err(error) => return context.go_on_by_login(error, next.as_deref().unwrap_or("/devices")),
    };
    if !sent.is_fresh {
        let words = "This page had been open for a while. Please try again.";
        let typed = |device| RefusedName { device, typed: name, words: words.to_owned() };
        let again = Again { notice: Some(words), refused: device.map(typed), ..Again::default() };
        return draw(StatusCode::UNPROCESSABLE_ENTITY, &context, &user, again).await;
    }
    if known.iter().chain(&device).any(|id| !is_id(id)) {
        return Err(Error::NotFound);
    }
    match (ending, known, device) {
        (Some(ending), ..) => end(&context, &user, EndForm { ending, next, is_answered: sure.is_some() }).await,
        (None, Some(known), _) => acknowledge(&context, &user, known, next).await,
        (None, None, Some(device)) => rename(&context, &user, device, name).await,
        (None, None, None) => Err(Error::Invalid("the form names no action".into())),
    }
}

/// The form that ends sessions.
struct EndForm {
    ending: String,
    next: Option<String>,
    /// Whether the person has answered the confirmation question.
    is_answered: bool,
}

/// Ends a single session at once if the password was confirmed recently. Otherwise redirects to the confirmation page,
/// which also asks for the password if it was not confirmed recently.
async fn end(context: &RequestContext, user: &CurrentUser, sent: EndForm) -> Result<HttpResponse> {
    let ending = Ending::parse(&sent.ending).ok_or(Error::NotFound)?;
    let next = match &ending {
        Ending::NotMe(_) => "/account?why=not-me".to_owned(),
        Ending::Session(_) | Ending::OnDevice(_) => sent.next.unwrap_or_else(|| "/devices?done=signed-out".to_owned()),
        Ending::Others => "/devices?done=others".to_owned(),
        Ending::Device(_) => "/devices?done=forgotten".to_owned(),
    };
    if !user.is_confirmed() || (ending.needs_answer() && !sent.is_answered) {
        let (who, asked) = (user.who(), ending.clone());
        let name = async move |conn: &mut Conn<'_>| end_sessions::name(conn, &who, &asked).await;
        context.sessions.db.read(name).await?.ok_or(Error::NotFound)?;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("then", &ending.to_string())
            .append_pair("next", &next)
            .finish();
        return Ok(layout::see_other(&format!("/confirm?{query}")));
    }
    let out = ending.leads_out_to();
    let ended = act::end(context, user, ending).await?;
    Ok(if ended.own { signed_out(out, &user.record.id) } else { layout::see_other(&next) })
}

async fn acknowledge(
    context: &RequestContext,
    user: &CurrentUser,
    id: String,
    next: Option<String>,
) -> Result<HttpResponse> {
    context.count(Act::Change, user, 1)?;
    match devices::acknowledge(&context.sessions.db, user, id).await? {
        Some(()) => Ok(layout::see_other(next.as_deref().unwrap_or("/devices?done=known"))),
        None => Err(context.ended_meanwhile().await?),
    }
}

async fn rename(context: &RequestContext, user: &CurrentUser, device: String, typed: String) -> Result<HttpResponse> {
    match device::check_name(&typed) {
        Ok(name) => match act::rename(context, user, &device, &name).await {
            Ok(()) => Ok(layout::see_other("/devices?done=renamed")),
            Err(error @ Error::TooFast(_)) => {
                let words = "Too many changes in a short time. Wait a moment, then save it again.".to_owned();
                let refused = Some(RefusedName { device, typed, words });
                let answer = draw(StatusCode::TOO_MANY_REQUESTS, context, user, Again { refused, ..Again::default() });
                Ok(with_retry(answer.await?, &error))
            }
            Err(error) => Err(error),
        },
        Err(_) => {
            let (account, id) = (user.account.id.clone(), device.clone());
            let one = async move |conn: &mut Conn<'_>| known::one(conn, &account, &id).await;
            context.sessions.db.read(one).await?.ok_or(Error::NotFound)?;
            let words = "Choose a name of 1 to 60 characters that can be read.".to_owned();
            let refused = Some(RefusedName { device, typed, words });
            draw(StatusCode::UNPROCESSABLE_ENTITY, context, user, Again { refused, ..Again::default() }).await
        }
    }
}

async fn draw(status: StatusCode, context: &RequestContext, user: &CurrentUser, again: Again) -> Result<HttpResponse> {
    let who = user.who();
    let (known, living, arrivals) = context
        .sessions
        .db
        .read(async move |conn: &mut Conn<'_>| {
            let account_id = who.account_id.as_str();
            let InUse { devices, living, new } = session_devices::in_use(conn, account_id).await?;
            Ok((devices, living, arrivals::of(conn, account_id, who.device_id.as_deref(), new).await?))
        })
        .await?;
    let living = context.sessions.overlaid(living);
    let mut cards = cards::draw(known, &living, user, &arrivals);
    for card in &mut cards {
        card.refused = again.refused.clone().filter(|refused| refused.device == card.id);
        card.open = card.refused.is_some() || (again.names_this && card.current);
    }
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, "Devices").of(&user.account, &token, "devices");
    let template = DevicesPage {
        page: page.asking(&context.req, &arrivals, user.now),
        token: token.value,
        done: again.done,
        notice: again.notice,
        has_former: cards.iter().any(|card| !card.live),
        has_others: living.iter().any(|(record, _)| record.id != user.record.id),
        elsewhere: listing::by_device(&living).iter().filter(|there| !there.is_of(&user.record)).count(),
        cards,
    };
    layout::answer(status, &template)
}

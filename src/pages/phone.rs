//! The page `/account/phone`: shows a QR code with which the person signs in on their phone, and the number to compare.
//! Called by the routes.
//!
//! Invariant: the link is shown once, in the answer to the form that made it.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use serde::Deserialize;

use crate::{
    actions::{confirm::Confirmed, links::hand_over},
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        hand_over::{HandOver, under_way},
        link::Made,
        session::{CurrentUser, acting::Acting},
    },
    web::{
        context::RequestContext,
        forms::{self, Form},
        layout::{self, Page},
        one_time_link::{self, ShownLink},
        rates::Act,
    },
};

/// The path of the page for links, up to the token.
const LINK: &str = "/link/";

/// The fields of the forms.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    act: String,
    number: String,
    current_password: String,
}

#[derive(Template)]
#[template(path = "phone/phone.html")]
struct PhonePage {
    page: Page,
    token: String,
    email: String,
    shown: Option<ShownLink>,
    under_way: Option<HandOver>,
    /// Whether there is a button that makes a code. Not beside a code, and not once the phone has opened it.
    may_start: bool,
    asks_password: bool,
    notice: Option<String>,
    password_error: Option<String>,
}

/// What the page shows.
#[derive(Default)]
struct Again {
    shown: Option<ShownLink>,
    notice: Option<String>,
    password_error: Option<String>,
    session_id: Option<String>,
}

/// `GET /account/phone`
pub async fn show(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    draw(StatusCode::OK, &context, &user, Again::default()).await
}

/// `POST /account/phone`: makes the code, or says whether the numbers are the same.
pub async fn submit(sent: Form<Fields>, user: Result<CurrentUser>, context: RequestContext) -> Result<HttpResponse> {
    let user = match user {
        Ok(user) => user,
        Err(error) => return context.go_on_by_login(error, context.req.path()),
    };
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.".to_owned());
        return draw(StatusCode::UNPROCESSABLE_ENTITY, &context, &user, Again { notice, ..Again::default() }).await;
    }
    context.count(Act::Change, &user, 1)?;
    let Fields { act, number, current_password } = sent.fields;
    match act.as_str() {
        "same" => answer(&context, &user, number.parse().ok()).await,
        "other" => answer(&context, &user, None).await,
        "start" => start(&context, &user, current_password).await,
        _ => Err(Error::Invalid("there is no such act".into())),
    }
}

async fn answer(context: &RequestContext, user: &CurrentUser, number: Option<i64>) -> Result<HttpResponse> {
    match hand_over::answer(&context.sessions.db, user.acting(), number).await? {
        Some(true) => Ok(layout::see_other(context.req.path())),
        Some(false) => {
            let notice = Some("The code no longer works. Make a new one if you still want to sign in.".to_owned());
            draw(StatusCode::OK, context, user, Again { notice, ..Again::default() }).await
        }
        None => Err(context.ended_meanwhile().await?),
    }
}

async fn start(context: &RequestContext, user: &CurrentUser, password: String) -> Result<HttpResponse> {
    let refuse = async |status, words: &str| {
        let password_error = Some(words.to_owned());
        draw(status, context, user, Again { password_error, ..Again::default() }).await
    };
    let (acting, session_id) = if user.is_confirmed() {
        (user.acting(), None)
    } else if password.is_empty() {
        let words = "Enter your password, so that we know it is you.";
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, words).await;
    } else {
        match context.confirm(user, password, None, None).await? {
            Confirmed::Yes { key, .. } => {
                context.hand_over(&key, &user.account.id)?;
                let id = key.id().to_owned();
                (Acting::new(user.who(), key), Some(id))
            }
            Confirmed::WrongPassword => {
                return refuse(StatusCode::UNAUTHORIZED, "That is not your password. Try again.").await;
            }
            Confirmed::WrongCode(_) => return Err(Error::bug("a code was refused that nobody gave")),
            Confirmed::SessionEnded => return Err(context.ended_meanwhile().await?),
        }
    };
    let Some(made) = hand_over::start(&context.sessions.db, acting).await? else {
        return Err(context.ended_meanwhile().await?);
    };
    let shown = Some(shown(context, user, &made)?);
    draw(StatusCode::OK, context, user, Again { shown, session_id, ..Again::default() }).await
}

fn shown(context: &RequestContext, user: &CurrentUser, made: &Made) -> Result<ShownLink> {
    ShownLink::new(one_time_link::address(context.site.public.origin(), made, LINK), made, user.now)
}

async fn draw(status: StatusCode, context: &RequestContext, user: &CurrentUser, again: Again) -> Result<HttpResponse> {
    let (id, own) = (user.account.id.clone(), user.record.sid().to_owned());
    let read = async move |conn: &mut Conn<'_>| under_way(conn, &id).await;
    let under_way = context.sessions.db.read(read).await?.filter(|one| one.sid == own);
    let token = forms::token(&context.site, &context.req)?;
    let mut page = Page::new(&context.req, "Sign in on my phone").of(&user.account, &token, "account");
    let asks_password = !user.is_confirmed() && again.session_id.is_none();
    if let (Some(person), Some(id)) = (&mut page.person, again.session_id) {
        person.session_id = id;
    }
    let is_in_use = under_way.as_ref().is_some_and(|one| one.number.is_some());
    let template = PhonePage {
        page,
        may_start: again.shown.is_none() && !is_in_use,
        token: token.value,
        email: user.account.email.clone(),
        shown: again.shown,
        under_way,
        asks_password,
        notice: again.notice,
        password_error: again.password_error,
    };
    layout::answer(status, &template)
}

//! The page `/confirm`: asks a signed-in person for their password before a sensitive action, in case somebody else
//! found the screen unlocked. After the confirmation the person continues to the requested page. A requested ending is
//! carried out in the same transaction. Called by the routes.
//!
//! Invariant: a confirmed session gets a new key, and its old key stops working in the same transaction.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    actions::{
        confirm::Confirmed,
        end_sessions::{self, EndedSessions, Ending},
    },
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        second_factor,
        session::{CurrentUser, SessionKey, Who, listing},
    },
    web::{
        context::RequestContext,
        form_again::{Lost, TooMany, form_again, form_again_after},
        forms::{self, Form},
        layout::{self, Page},
        return_to,
        signed_out::{clear_cache, signed_out_address},
    },
};

/// The page for choosing a new password after an intrusion.
const NEW_PASSWORD: &str = "/account?why=not-me";

/// The action to confirm: an ending, and the page to continue to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    next: String,
    then: String,
    /// `2` if a second factor is needed.
    level: String,
}

/// The fields of the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    password: String,
    code: String,
    next: String,
    then: String,
    level: String,
}

#[derive(Template)]
#[template(path = "login/confirm.html")]
struct ConfirmPage {
    page: Page,
    token: String,
    email: String,
    heading: String,
    lead: String,
    button: &'static str,
    then: Option<String>,
    next: Option<String>,
    /// Whether the page asks for the password. If not, it only asks whether the person is sure.
    asks_password: bool,
    /// Whether the account has a second factor, which the page then asks for too.
    asks_code: bool,
    /// Whether the action needs the second factor.
    needs_code: bool,
    /// Whether the page offers to use a passkey.
    has_passkeys: bool,
    back: String,
    notice: Option<String>,
    password_error: Option<String>,
    code_error: Option<String>,
}

/// The action to confirm, and the messages that the form shows.
#[derive(Debug, Default)]
struct Again {
    next: Option<String>,
    then: Option<Ending>,
    /// The effect of `then`.
    effect: Effect,
    /// Whether the action needs a second factor.
    needs_code: bool,
    /// Whether the person has a passkey.
    has_passkeys: bool,
    notice: Option<String>,
    password_error: Option<String>,
    code_error: Option<String>,
}

/// `GET /confirm`
///
/// # Errors
/// [`Error::NotFound`] when there is no such session or device to end.
pub async fn show(query: web::Query<Query>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let requested = requested_action(&context, &user, (&query.next, &query.then), &query.level).await?;
    form(StatusCode::OK, &context, &user, requested)
}

/// `POST /confirm`
///
/// # Errors
/// [`Error::NotFound`] when there is no such session or device to end. A wrong password or code, too many attempts and an
/// unavailable database show the form again.
pub async fn submit(sent: Form<Fields>, user: Result<CurrentUser>, context: RequestContext) -> Result<HttpResponse> {
    let Fields { password, code, next, then, level } = sent.fields;
    let after = return_to::own_address(&context.site.public, &next);
    let after = after.as_deref().unwrap_or(return_to::HOME);
    let user = match user {
        Ok(user) => user,
        Err(error) => return context.go_on_by_login(error, after),
    };
    let again = requested_action(&context, &user, (&next, &then), &level).await?;
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please type your password again.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, &user, Again { notice, ..again });
    }
    if password.is_empty() {
        let password_error = Some("Enter your password.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, &user, Again { password_error, ..again });
    }
    let code = Some(code).filter(|code| user.account.has_second_factor() && !code.trim().is_empty());
    if code.is_none() && again.needs_code {
        let code_error = Some("Enter a code too. This change needs it.".to_owned());
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, &user, Again { code_error, ..again });
    }
    let has_code = code.is_some();
    match context.confirm(&user, password, code, again.then.clone()).await {
        Ok(Confirmed::Yes { key, ended }) => complete(&context, &user, &again, &key, &ended),
        Ok(Confirmed::SessionEnded) => context.go_on_by_login(context.ended_meanwhile().await?, after),
        Ok(Confirmed::WrongPassword) => {
            let password_error = Some("That is not your password. Try again.".to_owned());
            form(StatusCode::UNAUTHORIZED, &context, &user, Again { password_error, ..again })
        }
        Ok(Confirmed::WrongCode(why)) => {
            let code_error = Some(why.in_words());
            form(StatusCode::UNAUTHORIZED, &context, &user, Again { code_error, ..again })
        }
        Err(error @ Error::TooManyAttempts(_)) if has_code => {
            form_again_after(error, TooMany::Codes, Lost::Password, |status, words| {
                form(status, &context, &user, Again { code_error: Some(words), ..again })
            })
        }
        Err(error @ Error::TooManyAttempts(_)) => form_again(error, |status, words| {
            form(status, &context, &user, Again { password_error: Some(words), ..again })
        }),
        Err(error) => {
            form_again(error, |status, words| form(status, &context, &user, Again { notice: Some(words), ..again }))
        }
    }
}

async fn requested_action(
    context: &RequestContext,
    user: &CurrentUser,
    (next, then): (&str, &str),
    level: &str,
) -> Result<Again> {
    let needs_code = level == "2" && user.account.has_second_factor();
    let next = return_to::own_address(&context.site.public, next);
    let has_passkeys = has_passkeys(context, user).await;
    if then.is_empty() {
        return Ok(Again { next, needs_code, has_passkeys, ..Again::default() });
    }
    let then = Ending::parse(then).ok_or(Error::NotFound)?;
    let (who, requested) = (user.who(), then.clone());
    let effect = async move |conn: &mut Conn<'_>| Effect::of(conn, &who, &requested).await;
    let effect = context.sessions.db.read(effect).await?.ok_or(Error::NotFound)?;
    Ok(Again { next, then: Some(then), effect, needs_code, has_passkeys, ..Again::default() })
}

/// Whether the person has a passkey. While the database is away, the page offers only the password.
async fn has_passkeys(context: &RequestContext, user: &CurrentUser) -> bool {
    if !user.account.has_second_factor() || context.site.passkeys.is_err() {
        return false;
    }
    let id = user.account.id.clone();
    let methods = async move |conn: &mut Conn<'_>| second_factor::methods(conn, &id).await;
    context.sessions.db.read(methods).await.is_ok_and(|methods| methods.passkeys > 0)
}

/// The facts that the description of an ending needs.
#[derive(Debug, Default)]
struct Effect {
    /// The name of the affected device.
    name: String,
    /// Whether the affected device is the current one.
    is_here: bool,
    /// The names of the other signed-in devices.
    others: Vec<String>,
}

impl Effect {
    async fn of(conn: &mut Conn<'_>, who: &Who, ending: &Ending) -> Result<Option<Self>> {
        let Some(name) = end_sessions::name(conn, who, ending).await? else {
            return Ok(None);
        };
        if *ending != Ending::Others {
            let is_here = matches!(ending, Ending::Device(id) | Ending::OnDevice(id) | Ending::NotMe(id) if Some(id) == who.device_id.as_ref());
            return Ok(Some(Self { name, is_here, others: Vec::new() }));
        }
        let living = listing::list(conn, &who.account_id).await?;
        let others = listing::by_device(&living).into_iter().filter(|device| {
            device.newest.id != who.session_id
                && (device.newest.device_id.is_none() || device.newest.device_id != who.device_id)
        });
        let names =
            others.map(|device| device.device_name.map_or_else(|| device.newest.client().label(), str::to_owned));
        Ok(Some(Self { name, is_here: false, others: names.collect() }))
    }

    /// The page's heading, the description of the effect, and the label of the button.
    fn in_words(&self, then: Option<&Ending>) -> (String, String, &'static str) {
        let name = &self.name;
        match then {
            None => (
                "Confirm it's you".to_owned(),
                "Type your password again to continue.".to_owned(),
                "Continue",
            ),
            Some(Ending::Session(_) | Ending::OnDevice(_)) => (
                format!("Sign out {name}?"),
                "Signing in there again takes your password. Nothing that was saved is lost.".to_owned(),
                "Sign out",
            ),
            Some(Ending::Others) => {
                ("Sign out everywhere else?".to_owned(), self.others_in_words(), "Sign out everywhere else")
            }
            Some(Ending::Device(_)) if self.is_here => (
                "Remove this device?".to_owned(),
                "You are signed out here, and what this device has kept is erased, also changes that were not saved yet. When you sign in again, it counts as a new device.".to_owned(),
                "Remove device",
            ),
            Some(Ending::Device(_)) => (
                format!("Remove {name}?"),
                "It is signed out and leaves your list. When you sign in there again, it counts as a new device."
                    .to_owned(),
                "Remove device",
            ),
            Some(Ending::NotMe(_)) => (
                format!("{name} wasn't you?"),
                "It is signed out and removed at once. Then choose a new password, since somebody may know yours."
                    .to_owned(),
                "It wasn't me",
            ),
        }
    }

    fn others_in_words(&self) -> String {
        const MOST: usize = 3;
        let rest = self.others.len().saturating_sub(MOST);
        let mut names = self.others.iter().take(MOST).cloned().collect::<Vec<_>>();
        if rest > 0 {
            names.push(if rest == 1 { "one more device".to_owned() } else { format!("{rest} more devices") });
        }
        let which = match names.as_slice() {
            [] => "You are signed out on all your other devices.".to_owned(),
            [one] => format!("{one} is signed out."),
            [first @ .., last] => format!("{} and {last} are signed out.", first.join(", ")),
        };
        format!("{which} This device stays signed in.")
    }
}

fn complete(
    context: &RequestContext,
    user: &CurrentUser,
    again: &Again,
    key: &SessionKey,
    ended: &EndedSessions,
) -> Result<HttpResponse> {
    let next = again.next.as_deref().unwrap_or(return_to::HOME);
    let after = after(context, user, (again.then.as_ref(), next), (key, ended))?;
    let mut answer = layout::see_other(&after);
    if ended.own {
        clear_cache(&mut answer);
    }
    Ok(answer)
}

/// Sends the session's new key, or signs the person out if their own session ended. Returns where they go on to.
pub(super) fn after(
    context: &RequestContext,
    user: &CurrentUser,
    (then, next): (Option<&Ending>, &str),
    (key, ended): (&SessionKey, &EndedSessions),
) -> Result<String> {
    if ended.own {
        context.goodbye(true);
        return Ok(signed_out_address(then.map_or("/login", Ending::leads_out_to), &user.record.id));
    }
    context.hand_over(key, &user.account.id)?;
    Ok(match then {
        Some(Ending::NotMe(_)) => NEW_PASSWORD.to_owned(),
        _ => next.to_owned(),
    })
}

/// Where the cancel link leads: to the page that the person came from, as far as it is known.
fn back_from(then: Option<&Ending>, next: Option<&str>) -> String {
    let page = match (then, next) {
        // Drop the query, which would report the action as done.
        (Some(Ending::Session(_) | Ending::OnDevice(_)), Some(next)) => {
            next.split(['?', '#']).next().unwrap_or("/devices")
        }
        (Some(_), _) => "/devices",
        (None, _) => return_to::HOME,
    };
    page.to_owned()
}

fn form(status: StatusCode, context: &RequestContext, user: &CurrentUser, again: Again) -> Result<HttpResponse> {
    let Again { next, then, effect, needs_code, has_passkeys, notice, password_error, code_error } = again;
    let (heading, lead, button) = effect.in_words(then.as_ref());
    let token = forms::token(&context.site, &context.req)?.value;
    let page = Page::new(&context.req, &heading);
    let template = ConfirmPage {
        has_passkeys: has_passkeys && page.misplaced.is_none(),
        page,
        token,
        email: user.account.email.clone(),
        heading,
        lead,
        button,
        back: back_from(then.as_ref(), next.as_deref()),
        // After a recent confirmation, the page only asks whether the person is sure.
        asks_password: then.is_none() || !user.is_confirmed(),
        asks_code: user.account.has_second_factor(),
        needs_code,
        then: then.map(|then| then.to_string()),
        next,
        notice,
        password_error,
        code_error,
    };
    layout::answer(status, &template)
}

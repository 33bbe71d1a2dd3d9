//! Making an account for oneself, where that is allowed and once there is an owner; elsewhere there is no such address.

use actix_web::{HttpResponse, http::StatusCode};
use serde::Deserialize;

use super::new_account::{AccountForm, Typed, not_fresh};
use crate::actions::sign_in::{self, Visit, Welcome};
use crate::actions::{new_password::Door, sign_in::begin::begin};
use crate::{
    actions::password_proof,
    base::{
        db::Conn,
        error::{Error, Result},
        settings::Signup,
    },
    records::{
        account::{self, Role},
        audit::{self, Event, Kind},
        session::Sessions,
    },
    web::{
        context::RequestContext,
        forms::Form,
        layout::{self, Page},
        return_to,
    },
};

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    email: String,
    name: String,
    password: String,
}

/// `GET /signup`
///
/// # Errors
/// [`Error::NotFound`] where it is not allowed; or when the database is away.
pub async fn show(context: RequestContext) -> Result<HttpResponse> {
    if context.facts.live().is_some() {
        return Ok(layout::see_other(return_to::HOME));
    }
    must_be_open(&context).await?;
    form(StatusCode::OK, &context, AccountForm::default())
}

/// `POST /signup`
///
/// # Errors
/// [`Error::NotFound`] where it is not allowed. Bad input, too many tries and a database that is away show the form
/// again.
pub async fn submit(sent: Form<Fields>, context: RequestContext) -> Result<HttpResponse> {
    must_be_open(&context).await?;
    let Fields { email, name, password } = sent.fields;
    let again = AccountForm { email, name, ..AccountForm::default() };
    if !sent.is_fresh {
        if context.is_signed_in_as(&again.email) {
            return Ok(layout::see_other(return_to::HOME));
        }
        let problem = Some(not_fresh(sent.is_without_cookies));
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, AccountForm { problem, ..again });
    }
    match sign_in::log_in_again(&context, &again.email, password.clone()).await {
        Ok(Some(welcome)) => return welcome.let_in(&context, layout::see_other(return_to::HOME)),
        Ok(None) => {}
        Err(error) => return again.again(error, |status, again| form(status, &context, again)),
    }
    let (typed, again) = match again.check(password.clone()) {
        Ok(checked) => checked,
        Err(again) => return form(StatusCode::UNPROCESSABLE_ENTITY, &context, *again),
    };
    match create(&context, typed).await {
        Ok(Some(welcome)) => welcome.let_in(&context, layout::see_other(return_to::HOME)),
        Ok(None) => match sign_in::log_in_again(&context, &again.email, password).await? {
            Some(welcome) => welcome.let_in(&context, layout::see_other(return_to::HOME)),
            None => form(StatusCode::UNPROCESSABLE_ENTITY, &context, again.address_taken()),
        },
        Err(error) => again.again(error, |status, again| form(status, &context, again)),
    }
}

async fn must_be_open(context: &RequestContext) -> Result<()> {
    let open = context.site.signup == Signup::Open
        && context.sessions.db.read(async |conn: &mut Conn<'_>| account::has_owner(conn).await).await?;
    if open { Ok(()) } else { Err(Error::NotFound) }
}

/// Counts the try, hashes the password, creates the account and begins its session, all or nothing; `None` when the
/// address is taken.
async fn create(context: &RequestContext, typed: Typed) -> Result<Option<Welcome>> {
    let (node, visit) = (Sessions::clone(&context.sessions), Visit::by_form(context));
    let (prover, door) = (context.prover.clone(), Door::SignUp(context.network()?));
    password_proof::to_the_end(async move {
        let (new, chosen) = typed.choose(&prover, door, Role::Member).await?;
        let work = async move |conn: &mut Conn<'_>| {
            let Some(account) = account::create(conn, &new).await? else {
                chosen.refused(conn).await?;
                return Ok(None);
            };
            chosen.created(conn).await?;
            let created = Event::of(Kind::AccountCreated, &account.id).detail(Role::Member.as_str()).ip(visit.ip());
            audit::record(conn, &[created]).await?;
            begin(conn, account, visit, &node).await.map(Some)
        };
        prover.db.write(work).await
    })
    .await
}

fn form(status: StatusCode, context: &RequestContext, template: AccountForm) -> Result<HttpResponse> {
    context.form(|token| {
        let page = Page::new(&context.req, "Create account");
        let (heading, lead) = ("Create account", "You stay signed in on this device, and can sign in on others.");
        let form = AccountForm { page, token, action: "/signup", heading, lead, usable: true, ..template };
        layout::answer(status, &form)
    })
}

//! The login rule: credentials go in, an [`Outcome`] comes out. Called by the login page and the API; the setup and the
//! signup begin a session for the account that they have made.
//!
//! Invariant: account, count of tries, device, session and audit are committed in one transaction, in which the account's
//! row is locked; the session id always changes, and no account has more sessions than it may.

use actix_web::HttpResponse;

pub mod begin;

use self::begin::{begin, begin_again};
use crate::{
    actions::password_proof::{self, Checked},
    base::{
        db::Conn,
        error::{Error, Result},
        secret::Secret,
    },
    records::{
        account::{self, Account, EmailAddress},
        device::Unread,
        session::{LoginForm, Record, SessionKey, Sessions, statements},
    },
    web::{
        context::{PasswordRate, RequestContext},
        rates::Act,
    },
};

/// Where a login comes from.
#[derive(Debug, Clone)]
pub struct Visit {
    pub(super) presented: Option<SessionKey>,
    pub(super) form: Option<LoginForm>,
    pub(super) device_secrets: Vec<Secret>,
    pub(super) device_name: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) client: Unread,
    /// Whether it runs as an app, if it said so.
    pub(super) installed: Option<bool>,
    /// The browser's time zone, if it said one.
    pub(super) zone: Option<String>,
}

impl Visit {
    /// From what a request tells.
    pub fn new(context: &RequestContext) -> Self {
        let facts = &context.facts;
        Self {
            presented: facts.presented_key(),
            form: None,
            device_secrets: context.device_secrets(),
            device_name: None,
            ip: facts.ip.clone(),
            client: Unread {
                user_agent: facts.user_agent.clone(),
                hints: facts.hints.clone(),
                has_touch_screen: context.req.query_string().split('&').any(|pair| pair == "touch=1"),
            },
            installed: None,
            zone: facts.browser_zone.clone(),
        }
    }

    /// With the visitor cookie, which makes one login of what is sent twice.
    pub fn by_form(context: &RequestContext) -> Self {
        Self { form: context.login_form(), ..Self::new(context) }
    }

    /// What the login is known by when it is sent again, what names its session first. A session key outlives the visitor
    /// cookie in the browser; the form may get a visitor cookie only on the second try.
    pub(super) fn names(&self) -> Vec<LoginForm> {
        let over = self.presented.as_ref().map(LoginForm::over);
        over.into_iter().chain(self.form.clone()).collect()
    }

    /// From which address.
    pub fn ip(&self) -> Option<&str> {
        self.ip.as_deref()
    }

    /// With what a client says of its device.
    #[must_use]
    pub fn on_device(mut self, name: Option<String>, installed: Option<bool>) -> Self {
        self.device_name = name;
        self.installed = installed;
        self
    }
}

/// What came of a login.
#[derive(Debug)]
pub enum Outcome {
    /// The right password.
    Welcome(Box<Welcome>),
    /// A wrong password, an unknown or a disabled account: nobody is told which.
    Refused,
}

/// A login that was committed.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// Who it is.
    pub account: Account,
    /// The session.
    pub record: Record,
    /// What the device is called.
    pub device_name: String,
    pub(super) key: SessionKey,
    pub(super) device_secrets: Vec<Secret>,
}

impl Welcome {
    /// Lets somebody in whose login was committed: the session's cookie and the device's go with the answer.
    ///
    /// # Errors
    /// Never in practice: what is set is well formed.
    pub fn let_in(&self, context: &RequestContext, mut answer: HttpResponse) -> Result<HttpResponse> {
        context.hand_over(&self.key, &self.account.id)?;
        context.remember_devices(&self.device_secrets, &mut answer)?;
        Ok(answer)
    }
}

/// Checks credentials and, if they are right, begins a session. Goes on to the end though the client may hang up.
///
/// # Errors
/// [`Error::TooManyAttempts`], [`Error::TooFast`]; or when the database is away or too many passwords
/// wait to be checked.
pub async fn log_in(context: &RequestContext, email: &EmailAddress, password: String, visit: Visit) -> Result<Outcome> {
    let rate = context.password_rate(Act::SignIn, email)?;
    let outcome = check(context, email, password, visit, rate).await;
    context.sessions.db.metrics().login(match &outcome {
        Ok(Outcome::Welcome(_)) => "welcome",
        Ok(Outcome::Refused) => "refused",
        Err(Error::TooManyAttempts(_)) => "throttled",
        Err(_) => "failed",
    });
    outcome
}

async fn check(
    context: &RequestContext,
    email: &EmailAddress,
    password: String,
    visit: Visit,
    rate: PasswordRate,
) -> Result<Outcome> {
    let (prover, claim) = (context.prover.clone(), context.claim(email)?);
    let node = Sessions::clone(&context.sessions);
    password_proof::to_the_end(async move {
        // A form that was sent twice is one login: the second one finds what came of the first.
        let _turn = match &visit.form {
            Some(form) => prover.turns.wait(&form.hash()).await,
            None => None,
        };
        let checked = prover.check(claim, password).await?;
        if checked.is_right() {
            rate.charge();
        }
        prover.db.write(async move |conn: &mut Conn<'_>| settle(conn, checked, visit, &node).await).await
    })
    .await
}

async fn settle(conn: &mut Conn<'_>, checked: Checked, visit: Visit, node: &Sessions) -> Result<Outcome> {
    if !checked.settle(conn).await? {
        return Ok(Outcome::Refused);
    }
    let welcome = begin(conn, checked.into_account()?, visit, node).await?;
    Ok(Outcome::Welcome(Box::new(welcome)))
}

/// The same for an account that this very form has made a moment ago: the button was pressed twice, or the answer was
/// lost. `None` when there is no such session, or the password is another. It asks the same of the database whether there
/// is an account or not.
///
/// # Errors
/// As for [`log_in`].
pub async fn log_in_again(context: &RequestContext, typed: &str, password: String) -> Result<Option<Box<Welcome>>> {
    let visit = Visit::by_form(context);
    let (names, Ok(email)) = (visit.names(), EmailAddress::known(typed)) else {
        return Ok(None);
    };
    let rate = context.password_rate(Act::SignIn, &email)?;
    let (node, email_key) = (Sessions::clone(&context.sessions), email.key().to_owned());
    let keys = node.keys.clone();
    let begun = async move |conn: &mut Conn<'_>| {
        let found = account::find_credentials(conn, &email_key).await?;
        statements::begun_by(conn, password_proof::id_or_nobody(found.as_ref()), &names, &keys).await
    };
    if node.db.read(begun).await?.is_none() {
        return Ok(None);
    }
    let (prover, claim) = (context.prover.clone(), context.claim(&email)?);
    password_proof::to_the_end(async move {
        let checked = prover.check(claim, password).await?;
        if checked.is_right() {
            rate.charge();
        }
        let again = async move |conn: &mut Conn<'_>| match checked.settle(conn).await? {
            true => begin_again(conn, checked.into_account()?, visit, &node).await,
            false => Ok(None),
        };
        prover.db.write(again).await
    })
    .await
    .map(|welcome| welcome.map(Box::new))
}

//! The login rule: credentials go in, an [`Outcome`] comes out. Called by the login page and the API; the setup and the
//! signup [begin] a session for the account that they have made.
//!
//! Invariant: account, count of tries, device, session and audit are committed in one transaction, in which the account's
//! row is locked; the session id always changes, and no account has more sessions than it may.

use actix_web::HttpResponse;

use crate::{
    account::{
        self, Account, EmailAddress,
        proof::{self, Checked},
    },
    audit::{self, Event, Kind},
    db::Conn,
    desk::Desk,
    device::{self, Client},
    error::{Error, Result},
    secret::Secret,
    session::{
        EndReason, Lifetimes, NewSession, Record, Scope, SessionKey, ends, listing, request::Presented, statements,
    },
};

/// Where a login comes from.
#[derive(Debug, Clone)]
pub struct Visit {
    presented: Option<SessionKey>,
    device_secret: Option<Secret>,
    device_name: Option<String>,
    ip: Option<String>,
    client: Client,
    /// Whether it runs as an app, if it said so.
    installed: Option<bool>,
    /// The browser's time zone, if it said one.
    zone: Option<String>,
}

impl Visit {
    /// From what a request tells.
    pub fn new(desk: &Desk) -> Self {
        let facts = &desk.facts;
        Self {
            presented: match &facts.presented {
                Presented::Key(key) => Some(key.clone()),
                Presented::Nothing | Presented::Foreign => None,
            },
            device_secret: desk.device_secret(),
            device_name: None,
            ip: facts.ip.clone(),
            client: Client::from_headers(&facts.user_agent, &facts.hints)
                .with_touch_screen(desk.req.query_string().split('&').any(|pair| pair == "touch=1")),
            installed: None,
            zone: facts.browser_zone.clone(),
        }
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
    key: SessionKey,
    device_secret: Secret,
}

impl Welcome {
    /// Lets somebody in whose login was committed: the session's cookie and the device's go with the answer.
    ///
    /// # Errors
    /// Never in practice: what is set is well formed.
    pub fn let_in(&self, desk: &Desk, mut answer: HttpResponse) -> Result<HttpResponse> {
        desk.hand_over(&self.key, &self.account.id)?;
        desk.remember_device(&self.device_secret, &mut answer)?;
        Ok(answer)
    }
}

/// Checks credentials and, if they are right, begins a session. Goes on to the end though the client may hang up.
///
/// # Errors
/// [`Error::TooManyAttempts`]; or when the database is away or too many passwords
/// wait to be checked.
pub async fn log_in(desk: &Desk, email: &EmailAddress, password: String, visit: Visit) -> Result<Outcome> {
    let outcome = check(desk, email, password, visit).await;
    desk.sessions.db.metrics().login(match &outcome {
        Ok(Outcome::Welcome(_)) => "welcome",
        Ok(Outcome::Refused) => "refused",
        Err(Error::TooManyAttempts(_)) => "throttled",
        Err(_) => "failed",
    });
    outcome
}

async fn check(desk: &Desk, email: &EmailAddress, password: String, visit: Visit) -> Result<Outcome> {
    let (prover, claim) = (desk.prover.clone(), desk.claim(email)?);
    let (times, key) = (desk.sessions.times, SessionKey::generate(desk.sessions.clock.now())?);
    proof::to_the_end(async move {
        let checked = prover.check(claim, password).await?;
        prover.db.write(async move |conn: &mut Conn<'_>| settle(conn, checked, visit, key, times).await).await
    })
    .await
}

async fn settle(
    conn: &mut Conn<'_>,
    checked: Checked,
    visit: Visit,
    key: SessionKey,
    times: Lifetimes,
) -> Result<Outcome> {
    if !checked.settle(conn).await? {
        return Ok(Outcome::Refused);
    }
    let welcome = begin(conn, checked.into_account()?, visit, key, times).await?;
    Ok(Outcome::Welcome(Box::new(welcome)))
}

/// Begins a session for somebody who has just proved who they are: rotates the one they had, ends another person's.
/// In the caller's transaction.
///
/// # Errors
/// When the database is away.
pub async fn begin(
    conn: &mut Conn<'_>,
    account: Account,
    visit: Visit,
    key: SessionKey,
    times: Lifetimes,
) -> Result<Welcome> {
    if let Some(zone) = visit.zone.filter(|zone| account.time_zone.as_ref() != Some(zone)) {
        account::keep_time_zone(conn, &account.id, &zone).await?;
    }
    let ip = visit.ip.clone();
    let says = device::Says { client: visit.client, installed: visit.installed, name: visit.device_name };
    let recognized = device::recognize(conn, &account.id, visit.device_secret, says).await?;
    let new = NewSession {
        key,
        account_id: account.id.clone(),
        device_id: recognized.device.id.clone(),
        ip: visit.ip,
        client: recognized.client.clone(),
    };
    let (record, kind, before) = replace_or_create(conn, visit.presented, &new, times).await?;
    if let Some(most) = times.most {
        let over = Scope::OverLimit { account: account.id.clone(), but: record.id.clone(), most };
        ends::end(conn, &over, EndReason::Revoked, audit::SYSTEM, ip.as_deref()).await?;
    }
    let event = |kind| {
        Event::of(kind, &account.id)
            .session(&record.id)
            .device(Some(&recognized.device.id), Some(&recognized.device.name))
            .ip(ip.as_deref())
    };
    let mut events = vec![event(Kind::LoginSucceeded)];
    events.extend(recognized.is_new.then(|| event(Kind::DeviceNew)));
    events.extend(recognized.was_called.as_ref().map(|was| event(Kind::DeviceRenamed).detail(&format!("was {was}"))));
    events.push(match before {
        Some(before) => event(kind).detail(&format!("was {before}")),
        None => event(kind),
    });
    audit::record(conn, &events).await?;
    Ok(Welcome { account, record, device_name: recognized.device.name, key: new.key, device_secret: recognized.secret })
}

/// The session of a login, how it came about, and the id it had before.
async fn replace_or_create(
    conn: &mut Conn<'_>,
    presented: Option<SessionKey>,
    new: &NewSession,
    times: Lifetimes,
) -> Result<(Record, Kind, Option<String>)> {
    if let Some(old) = presented {
        // In the order of their ids, before one of them is changed: two logins over one another's sessions do not wait
        // for each other.
        listing::lock_living_and(conn, &new.account_id, old.id()).await?;
        if let Some(record) = statements::rotate(conn, &old, new, times).await? {
            return Ok((record, Kind::SessionRegenerated, Some(old.id().to_owned())));
        }
        if statements::owner(conn, &old).await?.is_some() {
            let one = Scope::One(old.id().to_owned());
            ends::end(conn, &one, EndReason::Replaced, &new.account_id, new.ip.as_deref()).await?;
        }
    }
    Ok((statements::create(conn, new, times).await?, Kind::SessionCreated, None))
}

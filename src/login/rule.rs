//! The login rule: credentials go in, an [`Outcome`] comes out. Called by the login page, the setup page and the API.
//!
//! Invariant: account, device, session and audit are committed in one transaction, and the session id always changes.

use actix_web::HttpRequest;

use crate::{
    account::{self, Account, EmailAddress, password::Hasher},
    audit::{self, Event, Kind},
    db::Conn,
    device::{self, Client},
    error::Result,
    secret::Secret,
    security::{Site, cookies},
    session::{
        EndReason, Lifetimes, NewSession, Record, Scope, SessionKey, Sessions,
        request::{Presented, RequestFacts},
        statements,
    },
};

/// What a login needs.
#[derive(Clone)]
pub struct LoginRule {
    /// The sessions.
    pub sessions: Sessions,
    /// The passwords.
    pub hasher: Hasher,
}

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
}

impl Visit {
    /// From what a request tells.
    pub fn new(req: &HttpRequest, facts: &RequestFacts, site: &Site) -> Self {
        Self {
            presented: match &facts.presented {
                Presented::Key(key) => Some(key.clone()),
                Presented::Nothing | Presented::Foreign => None,
            },
            device_secret: cookies::short_secret(req, &site.cookies.device),
            device_name: None,
            ip: facts.ip.clone(),
            client: Client::from_user_agent(&facts.user_agent),
            installed: None,
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
    /// What its browser keeps of the session.
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    /// What its browser keeps of the device.
    pub fn device_secret(&self) -> &Secret {
        &self.device_secret
    }
}

impl LoginRule {
    /// Checks credentials and, if they are right, begins a session.
    ///
    /// # Errors
    /// When the database is away or too many passwords wait to be checked.
    pub async fn log_in(&self, email: &EmailAddress, password: String, visit: Visit) -> Result<Outcome> {
        let outcome = self.check(email, password, visit).await;
        self.sessions.db.metrics().login(match &outcome {
            Ok(Outcome::Welcome(_)) => "welcome",
            Ok(Outcome::Refused) => "refused",
            Err(_) => "failed",
        });
        outcome
    }

    async fn check(&self, email: &EmailAddress, password: String, visit: Visit) -> Result<Outcome> {
        let email_key = email.key();
        let found = self
            .sessions
            .db
            .read(async move |conn: &mut Conn<'_>| account::find_credentials(conn, &email_key).await)
            .await?;
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        let right = self.hasher.verify(password, hash).await?;
        let (times, now) = (self.sessions.times, self.sessions.clock.now());
        let key = SessionKey::generate(now)?;
        self.sessions
            .db
            .write(async move |conn: &mut Conn<'_>| {
                if let Some(found) = &found
                    && right
                    && account::admit(conn, &found.account.id, &found.password_hash).await?
                {
                    let welcome = begin(conn, found.account.clone(), visit, key, times).await?;
                    return Ok(Outcome::Welcome(Box::new(welcome)));
                }
                record_failure(conn, found.as_ref().map(|found| found.account.id.as_str()), &visit).await?;
                Ok(Outcome::Refused)
            })
            .await
    }
}

/// A wrong password: on the account's trail, if there is one, with the device if it is one of the account's.
async fn record_failure(conn: &mut Conn<'_>, account_id: Option<&str>, visit: &Visit) -> Result<()> {
    let failed = match account_id {
        None => Event::of_nobody(Kind::LoginFailed),
        Some(id) => {
            let device = match &visit.device_secret {
                Some(secret) => device::find(conn, id, secret).await?,
                None => None,
            };
            let (device_id, name) = device.map(|device| (device.id, device.name)).unzip();
            Event::of(Kind::LoginFailed, id).by("visitor").device(device_id.as_deref(), name.as_deref())
        }
    };
    audit::record(conn, &[failed.ip(visit.ip.as_deref())]).await
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
        if let Some(record) = statements::rotate(conn, &old, new, times).await? {
            return Ok((record, Kind::SessionRegenerated, Some(old.id().to_owned())));
        }
        if statements::owner(conn, &old).await?.is_some() {
            let one = Scope::One(old.id().to_owned());
            statements::end(conn, &one, EndReason::Replaced, &new.account_id, new.ip.as_deref()).await?;
        }
    }
    Ok((statements::create(conn, new, times).await?, Kind::SessionCreated, None))
}

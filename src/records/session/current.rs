//! The current session as handlers see it: who it is, since when and until when, with its id.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_session::{Session, SessionExt as _};
use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use futures_util::future::LocalBoxFuture;

use super::{
    acting::Acting,
    confirmation::is_fresh,
    key::SessionKey,
    lookup::Found,
    record::{Record, SessionView},
    request::{self, Loaded, PresentedSession, RequestFacts},
    service::Sessions,
    state::{FINISHED, IDENTITY, TOUCHED},
    touch::{self, Due},
    who::Who,
};
use crate::{
    base::{
        db::Instant,
        error::{EndedBecause, Error, Result},
    },
    records::{
        account::Account,
        audit::{Event, Kind},
    },
};

/// Leaves the key of a login that was committed for the cookie, and makes this request's identity the new one. What
/// else the state held in memory is dropped: the row kept the same person's, and another's is no business of this one.
///
/// # Errors
/// Never in practice: texts become JSON.
pub fn finish_login(session: &Session, key: &SessionKey, account_id: &str) -> Result<()> {
    session.clear();
    session.insert(IDENTITY, account_id).map_err(Error::bug)?;
    session.insert(FINISHED, key.expose()).map_err(Error::bug)
}

/// Renews the session's cookie with this answer.
///
/// # Errors
/// Never in practice: a truth value becomes JSON.
pub fn renew_cookie(session: &Session) -> Result<()> {
    session.insert(TOUCHED, true).map_err(Error::bug)
}

/// Forgets the session of a logout; the cookie goes. What the handler has not `ended` itself the store ends now.
pub fn finish_logout(session: &Session, ended: bool) {
    if let Some(facts) = request::current() {
        facts.ended_by_handler.set(ended);
    }
    session.purge();
}

/// Who is signed in. As an argument of a handler it makes the handler one that needs a login, and counts as activity:
/// the first request after each touch interval extends the session and renews its cookie. Not what a page asks by itself.
#[derive(Debug, Clone)]
pub struct CurrentUser {
    /// The session's row, as this request has made it: `record.id` is what the replaced application called
    /// `sessionId`, beside `record.last_activity`.
    pub record: Record,
    /// The person.
    pub account: Account,
    /// What this device is called.
    pub device_name: Option<String>,
    /// The database's time when the request began.
    pub now: Instant,
    /// Since when the account has its present password.
    password_changed_at: Instant,
    /// The session's present key.
    key: SessionKey,
}

impl CurrentUser {
    /// The session as the API shows it.
    pub fn view(&self) -> SessionView {
        SessionView::new(&self.record, self.device_name.as_deref(), true)
    }

    /// What has just been found out of the device.
    pub fn note(&mut self, device_name: &str, installed: bool) {
        if let Some(known) = &mut self.device_name {
            device_name.clone_into(known);
        }
        self.record.installed = installed;
    }

    /// Whether the password was given lately enough for what should not be done by whoever finds a screen unlocked. One that
    /// was changed since counts no more: whoever gave it may not know the new one.
    pub fn is_confirmed(&self) -> bool {
        is_fresh(self.record.authenticated_at, self.password_changed_at, self.now)
    }

    /// For what is written on behalf of this session.
    pub fn acting(&self) -> Acting {
        Acting::new(self.who(), self.key.clone())
    }

    /// Who acts, for what is ended in their name.
    pub fn who(&self) -> Who {
        Who {
            account_id: self.account.id.clone(),
            session_id: self.record.id.clone(),
            device_id: self.record.device_id.clone(),
        }
    }

    /// Something that the person did in this session.
    pub fn event(&self, kind: Kind) -> Event {
        Event::of(kind, &self.account.id)
            .session(&self.record.id)
            .device(self.record.device_id.as_deref(), self.device_name.as_deref())
    }

    async fn extract(facts: &RequestFacts, sessions: &Sessions, session: &Session) -> Result<Self> {
        let loaded = facts.live().ok_or_else(|| facts.absence())?;
        let mut user = Self::from(&*loaded);
        if facts.renews_cookie {
            session.insert(TOUCHED, true).map_err(Error::bug)?;
        }
        if facts.unattended.get() {
            return Ok(user);
        }
        let row = match touch::due(&loaded.record, loaded.now, facts.ip.as_deref(), sessions.times) {
            Due::No => return Ok(user),
            Due::Queue(row) => {
                sessions.touches.push(row.clone());
                sessions.db.metrics().touch_queued();
                row
            }
            Due::Now(row) => {
                if !sessions.touch_now(row.clone()).await? {
                    return user.refresh(facts, sessions).await;
                }
                row
            }
        };
        user.record.last_activity = row.at;
        user.record.expires_at = row.expires_at;
        user.record.ip = row.ip;
        renew_cookie(session)?;
        Ok(user)
    }

    /// Looks again: the session ended meanwhile, or another request has touched it first.
    async fn refresh(self, facts: &RequestFacts, sessions: &Sessions) -> Result<Self> {
        let Some(key) = facts.presented_key() else {
            return Err(facts.absence());
        };
        match sessions.find(&key).await? {
            Found::Live(loaded) => {
                let user = Self::from(&*loaded);
                facts.session.replace(PresentedSession::Live(Rc::from(loaded)));
                Ok(user)
            }
            Found::Ended { told, .. } => Err(Error::SessionEnded(told.because)),
            Found::Former | Found::Unknown | Found::Expired { .. } => Err(Error::SessionEnded(EndedBecause::Unknown)),
        }
    }
}

impl From<&Loaded> for CurrentUser {
    fn from(loaded: &Loaded) -> Self {
        Self {
            record: loaded.record.clone(),
            account: loaded.account.clone(),
            device_name: loaded.device_name.clone(),
            now: loaded.now,
            password_changed_at: loaded.password_changed_at,
            key: loaded.key.clone(),
        }
    }
}

impl FromRequest for CurrentUser {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = req.get_session();
        let sessions = req.app_data::<web::Data<Sessions>>().cloned();
        Box::pin(async move {
            let sessions = sessions.ok_or_else(|| Error::bug("no sessions in this application"))?;
            let facts = request::current().ok_or_else(|| Error::bug("outside of a request"))?;
            Self::extract(&facts, &sessions, &session).await
        })
    }
}

/// The facts of the request, for handlers that work with and without a login. Not activity.
#[derive(Debug, Clone)]
pub struct Facts(pub Rc<RequestFacts>);

impl std::ops::Deref for Facts {
    type Target = RequestFacts;

    fn deref(&self) -> &RequestFacts {
        &self.0
    }
}

impl FromRequest for Facts {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request::current().map(Self).ok_or_else(|| Error::bug("outside of a request")))
    }
}

//! The current session as handlers see it: the user, the device, and the session's id and times.

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
        error::{EndedBecause, Error, Result, SET_UP},
    },
    records::{
        account::Account,
        audit::{Event, Kind},
    },
};

/// Puts the key of a committed login into the state, so that the store returns it for the cookie, and sets the new
/// identity for this request. The rest of the state in memory is dropped: the row keeps the state if the account is the
/// same, and the state of another account must not carry over.
pub fn finish_login(session: &Session, key: &SessionKey, account_id: &str) -> Result<()> {
    session.clear();
    session.insert(IDENTITY, account_id).map_err(Error::bug)?;
    session.insert(FINISHED, key.expose()).map_err(Error::bug)
}

/// Makes this response set the session's cookie again.
pub fn renew_cookie(session: &Session) -> Result<()> {
    session.insert(TOUCHED, true).map_err(Error::bug)
}

/// Removes the cookie after a logout. Unless the handler has `ended` the session itself, the store ends it now.
pub fn finish_logout(session: &Session, ended: bool) {
    if let Some(facts) = request::current() {
        facts.ended_by_handler.set(ended);
    }
    session.purge();
}

/// The signed-in user. A handler with this argument requires a login, and a second factor of people who must have one,
/// unless its address is open to the set-up. Its requests count as activity: the first
/// request after each touch interval extends the session and renews its cookie. A request that a page sends on its own
/// does not count.
#[derive(Debug, Clone)]
pub struct CurrentUser {
    /// The session's row, including the activity of this request.
    pub record: Record,
    pub account: Account,
    pub device_name: Option<String>,
    /// The database's time when the request began.
    pub now: Instant,
    /// When the account's current password was set.
    pub password_changed_at: Instant,
    /// The session's current key, which may differ from the presented key.
    key: SessionKey,
}

impl CurrentUser {
    /// The session as the API shows it.
    pub fn view(&self) -> SessionView {
        SessionView::new(&self.record, self.device_name.as_deref(), true)
    }

    /// Updates the device's name and the installed flag in this copy of the session.
    pub fn note(&mut self, device_name: &str, installed: bool) {
        if let Some(known) = &mut self.device_name {
            device_name.clone_into(known);
        }
        self.record.installed = installed;
    }

    /// Whether the password was entered recently enough for actions that must be safe on an unattended screen. An entry
    /// from before the last password change does not count: it does not show that the user knows the new password.
    pub fn is_confirmed(&self) -> bool {
        is_fresh(self.record.authenticated_at, self.password_changed_at, self.now)
    }

    /// Whether a second factor was given in this session, recently enough for changes of what the person signs in with.
    pub fn is_confirmed_with_second_factor(&self) -> bool {
        self.record.second_factor_at.is_some_and(|at| is_fresh(at, Instant::from_micros(0), self.now))
    }

    /// Whether the person may change what they sign in with: their password, their address and their second factors.
    pub fn may_change_proofs(&self) -> bool {
        match self.account.has_second_factor() {
            true => self.is_confirmed_with_second_factor(),
            false => self.is_confirmed(),
        }
    }

    /// Whether the account has a second factor that must be given before such a change. The forms for a new password and
    /// a new address ask for the password themselves.
    pub fn lacks_second_factor(&self) -> bool {
        self.account.has_second_factor() && !self.is_confirmed_with_second_factor()
    }

    /// The handle for writes on behalf of this session.
    pub fn acting(&self) -> Acting {
        Acting::new(self.who(), self.key.clone())
    }

    /// The account, session and device that act.
    pub fn who(&self) -> Who {
        Who {
            account_id: self.account.id.clone(),
            session_id: self.record.id.clone(),
            device_id: self.record.device_id.clone(),
        }
    }

    /// An audit event for an action of the user in this session.
    pub fn event(&self, kind: Kind) -> Event {
        Event::of(kind, &self.account.id)
            .session(&self.record.id)
            .device(self.record.device_id.as_deref(), self.device_name.as_deref())
    }

    async fn extract(facts: &RequestFacts, sessions: &Sessions, session: &Session) -> Result<Self> {
        let loaded = facts.admitted(sessions)?;
        let mut user = Self::from(&*loaded);
        if facts.renews_cookie {
            session.insert(TOUCHED, true).map_err(Error::bug)?;
        }
        if facts.unattended.get() {
            return Ok(user);
        }
        let due = |user: &Self| touch::due(&user.record, user.now, facts.ip.as_deref(), sessions.times);
        if due(&user) != Due::No && loaded.from_memory && sessions.cache.has_others() {
            // Another node may have touched the session since this node cached it.
            sessions.cache.forget(&user.record.id);
            user = user.refresh(facts, sessions).await?;
        }
        let row = match due(&user) {
            Due::No => return Ok(user),
            Due::Queue(row) => {
                sessions.queue_touch(row.clone());
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

    /// Looks up the session again: it has ended meanwhile, or another request has touched it first.
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
            Found::Ended { details, .. } => Err(Error::SessionEnded(details.because)),
            Found::Former | Found::Unknown | Found::Overdue { .. } => Err(Error::SessionEnded(EndedBecause::Unknown)),
        }
    }
}

impl RequestFacts {
    /// The live session, if its person may use this address.
    ///
    /// # Errors
    /// Why there is no live session; [`Error::SetUpRequired`] if the person must set up a second factor first.
    pub fn admitted(&self, sessions: &Sessions) -> Result<Rc<Loaded>> {
        let loaded = self.live().ok_or_else(|| self.absence())?;
        match !self.is_open_to_set_up && sessions.second_factor.asks_for_set_up(&loaded.account) {
            true => Err(Error::SetUpRequired(SET_UP)),
            false => Ok(loaded),
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

/// The facts of the request, for handlers that work with and without a login. Does not count as activity.
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

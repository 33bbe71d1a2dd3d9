//! The contract of the session store, run on both engines.

mod clock_set_back;
mod endings;
mod generations;
mod keys;
mod lock_order;
mod lost_answers;
mod races;
mod settled_in_portions;
mod touches;
mod upgrade;
mod upgrade_beside_node;
mod writes_of_a_session;

use std::rc::Rc;

use actix_session::storage::{SessionKey as CookieValue, SessionStore, UpdateError};
use actix_web::cookie::time::Duration as CookieDuration;
use sessile::{
    base::{
        db::Conn,
        error::{Error, Result},
        secret::Secret,
    },
    records::{
        account::{self, EmailAddress, Role},
        device::{self, Client, Reported, SignIn},
        session::{
            Acting, Amr, EndReason, NewSession, Record, Scope, SessionKey, SessionRef, Sessions, Who, ends,
            request::{Presented, PresentedSession, RequestFacts},
            state::State,
            statements,
        },
    },
};

use crate::support::TestDb;

/// A node with an account, and helpers for the cases.
pub struct Node {
    pub sessions: Sessions,
    pub account_id: String,
    device_id: String,
}

impl Node {
    pub async fn new(db: &TestDb) -> Self {
        let sessions = db.sessions().await;
        let account_id = add_account(&sessions, "kim@example.com").await;
        let device_id = add_device(&sessions, &account_id).await;
        Self { sessions, account_id, device_id }
    }

    /// The same account, for use with another node's sessions.
    pub fn new_on(node: &Self) -> Self {
        Self { sessions: node.sessions.clone(), account_id: node.account_id.clone(), device_id: node.device_id.clone() }
    }

    /// Another account on the same node.
    pub async fn another(&self) -> Self {
        let account_id = add_account(&self.sessions, "sam@example.com").await;
        let device_id = add_device(&self.sessions, &account_id).await;
        Self { sessions: self.sessions.clone(), account_id, device_id }
    }

    pub fn new_session(&self) -> NewSession {
        NewSession {
            key: SessionKey::generate(&self.account_id, self.sessions.clock.now()).unwrap(),
            nonce: None,
            form: None,
            account_id: self.account_id.clone(),
            device_id: self.device_id.clone(),
            ip: Some("192.0.2.1".into()),
            client: Client::from_user_agent(""),
            amr: Amr::password(),
            generation: 0,
        }
    }

    pub async fn create(&self) -> SessionKey {
        let new = self.new_session();
        self.try_create(&new).await.unwrap();
        new.key
    }

    pub async fn try_create(&self, new: &NewSession) -> Result<Record> {
        let (new, times) = (new.clone(), self.sessions.times);
        self.sessions.db.write(async move |conn: &mut Conn<'_>| statements::create(conn, &new, times).await).await
    }

    /// Rotates to a new key; `None` if the session could not be rotated.
    pub async fn rotate(&self, old: &SessionKey) -> Option<SessionKey> {
        let (old, new, times) = (old.clone(), self.new_session(), self.sessions.times);
        let key = new.key.clone();
        let rotate = async move |conn: &mut Conn<'_>| statements::rotate(conn, &old, &new, times).await;
        self.sessions.db.write(rotate).await.unwrap().map(|_| key)
    }

    /// A key with the id of `key` and the secret of `secret_of`.
    pub fn forged(&self, key: &SessionKey, secret_of: &SessionKey) -> SessionKey {
        with_secret(key, &self.account_id, secret_of)
    }

    /// The session that a key opens, as the actor of a write.
    pub fn acting(&self, key: &SessionKey) -> Acting {
        let who = Who {
            account_id: self.account_id.clone(),
            session_id: key.id().to_owned(),
            device_id: Some(self.device_id.clone()),
        };
        Acting::new(who, key.clone())
    }

    pub async fn end(&self, key: &SessionKey, reason: EndReason) -> usize {
        let (one, by) = (Scope::One(SessionRef::new(&self.account_id, key.id())), self.account_id.clone());
        let end = async move |conn: &mut Conn<'_>| ends::end(conn, &one, reason, &by, None).await;
        self.sessions.db.write(end).await.unwrap()
    }

    /// Loads the session as the middleware does, in a new request.
    pub async fn load(&self, key: &SessionKey) -> Option<State> {
        request(key).scope(SessionStore::load(&self.sessions, &cookie(key))).await.unwrap()
    }

    pub async fn is_live(&self, key: &SessionKey) -> bool {
        self.load(key).await.is_some()
    }

    /// The error that a browser with this key would receive.
    pub async fn told(&self, key: &SessionKey) -> String {
        let facts = request(key);
        let scope = Rc::clone(&facts);
        let _ = scope.scope(SessionStore::load(&self.sessions, &cookie(key))).await.unwrap();
        facts.absence().to_string()
    }

    /// Runs a whole request: load, change, update.
    pub async fn change(&self, key: &SessionKey, change: impl FnOnce(&mut State)) -> Result<(), Error> {
        let facts = request(key);
        let scope = Rc::clone(&facts);
        let done = scope.scope(async {
            let mut state = SessionStore::load(&self.sessions, &cookie(key)).await.unwrap().expect("a live session");
            change(&mut state);
            self.update(key, state).await
        });
        let result = done.await;
        match facts.fault.take() {
            Some(fault) => Err(fault),
            None => {
                result.unwrap();
                Ok(())
            }
        }
    }

    /// Updates the state within the current request.
    pub async fn update(&self, key: &SessionKey, state: State) -> Result<CookieValue, UpdateError> {
        SessionStore::update(&self.sessions, cookie(key), state, &CookieDuration::hours(72)).await
    }
}

async fn add_account(sessions: &Sessions, email: &str) -> String {
    let new = account::New {
        email: EmailAddress::parse(email).unwrap(),
        name: String::new(),
        role: Role::Member,
        password_hash: "none".into(),
    };
    let create = async move |conn: &mut Conn<'_>| account::create(conn, &new).await;
    sessions.db.write(create).await.unwrap().expect("an unused address").id
}

async fn add_device(sessions: &Sessions, account_id: &str) -> String {
    let (account_id, secrets) = (account_id.to_owned(), sessions.keys.devices().clone());
    let recognize = async move |conn: &mut Conn<'_>| {
        let reported =
            Reported { client: Client::from_user_agent(""), installed: None, name: Some("Shop counter".into()) };
        let browser = SignIn { presented: Vec::new(), next: Secret::random_short()?, known: None, secrets };
        device::recognize(conn, &account_id, browser, reported).await
    };
    sessions.db.write(recognize).await.unwrap().device.id
}

/// A key of the account with the id of `key` and the secret of `secret_of`.
pub fn with_secret(key: &SessionKey, account_id: &str, secret_of: &SessionKey) -> SessionKey {
    let part = account_id.strip_prefix("acc_").unwrap();
    SessionKey::parse(&format!("{}.{part}.{}", key.id(), secret_of.secret().expose())).unwrap()
}

/// The key in its old form, without the account.
pub fn old_form(key: &SessionKey) -> SessionKey {
    SessionKey::parse(&format!("{}.{}", key.id(), key.secret().expose())).unwrap()
}

pub fn request(key: &SessionKey) -> Rc<RequestFacts> {
    let presented = Presented::Key(key.clone());
    Rc::new(RequestFacts::new(Some("192.0.2.7".into()), String::new(), presented))
}

pub fn cookie(key: &SessionKey) -> CookieValue {
    key.cookie_value().unwrap()
}

pub fn is_ended(facts: &RequestFacts) -> bool {
    matches!(*facts.session.borrow(), PresentedSession::Ended(_))
}

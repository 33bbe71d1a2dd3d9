//! The facts of the current request that the session store needs, and the results that it leaves for other layers.
//! actix-session passes only keys and state to a store, so the rest travels in a task-local that `web::request_facts`
//! sets.
//!
//! Invariant: nothing here outlives its request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{ended::Ended, key::SessionKey, record::Record, state::State};
use crate::{
    base::{
        db::Instant,
        error::{EndedBecause, Error, Result},
        secret::Secret,
    },
    records::{account::Account, device::Hints},
};

tokio::task_local! {
    static REQUEST: Rc<RequestFacts>;
}

/// Maximum number of session keys that a sign-out accepts in one request.
pub const MOST_KEYS: usize = 8;

/// The session cookie that a browser presented.
#[derive(Debug, Clone)]
pub enum Presented {
    /// No session cookie.
    Nothing,
    /// A cookie without our signature or without a key in it, or several cookies with different keys.
    Foreign,
    /// A key in a cookie with our signature.
    Key(SessionKey),
}

impl Presented {
    pub fn key(&self) -> Option<&SessionKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Nothing | Self::Foreign => None,
        }
    }
}

/// The result of looking up the presented session.
#[derive(Debug, Clone)]
pub enum PresentedSession {
    /// There is no session, or the lookup has not happened yet.
    None,
    Live(Rc<Loaded>),
    Ended(Ended),
    /// The presented key is a former key whose successor has been used. It can only end the session.
    Former,
}

/// A live session, as it was when the request began.
#[derive(Debug)]
pub struct Loaded {
    pub record: Record,
    pub account: Account,
    pub device_name: Option<String>,
    /// The current key: either the presented key, or its successor, which the response hands over.
    pub key: SessionKey,
    /// Whether the browser presents its key for the first time, and this must be recorded.
    pub first_use: bool,
    /// The hash of the device's secret at the first use of the key.
    pub first_use_with: Option<Vec<u8>>,
    /// The secrets to hand over, if the browser missed the response with its new key.
    pub handed_over: Option<HandedOver>,
    /// The state as stored.
    pub state: State,
    /// When the account's current password was set.
    pub password_changed_at: Instant,
    /// The database's time at the read.
    pub now: Instant,
    /// Whether this was read from the cache, and `now` from this node's clock.
    pub from_memory: bool,
}

/// The secrets that the response hands over, because the browser presented the key from before a rotation.
#[derive(Debug, Clone)]
pub struct HandedOver {
    /// The device secret that belongs to the new key, if a sign-in made that key.
    pub device_secret: Option<Secret>,
    /// The hashes of the device secrets that the new secret replaces.
    pub device_hashes: Vec<Vec<u8>>,
}

/// The facts of one request.
#[derive(Debug)]
pub struct RequestFacts {
    /// The client's address, resolved through trusted proxies.
    pub ip: Option<String>,
    /// The `User-Agent` header, unparsed: only a login needs it.
    pub user_agent: String,
    /// Whether a page sent the request on its own. Such a request does not count as activity.
    pub unattended: Cell<bool>,
    /// Whether a person may use this address who must set up a second factor first.
    pub is_open_to_set_up: bool,
    /// The browser's client hints, unparsed.
    pub hints: Hints,
    pub presented: Presented,
    /// All of our session keys in the request, even if there are several and none counts as presented.
    pub keys: Vec<SessionKey>,
    /// The device secrets that the browser sent.
    pub device_secrets: Vec<Secret>,
    /// Whether the session cookie has its old name, so that the response must set it under the current name.
    pub renews_cookie: bool,
    /// The result of looking up the presented session.
    pub session: RefCell<PresentedSession>,
    /// The store's error. actix-session turns it into an opaque 500, and the outer layer restores it.
    pub fault: RefCell<Option<Error>>,
    /// The name of the browser's time zone, if its script has sent it.
    pub browser_zone: Option<String>,
    /// The name of the time zone stored for the account of the presented session.
    pub kept_zone: RefCell<Option<String>>,
    /// Whether the handler has ended the session itself, so that the store need not end it.
    pub ended_by_handler: Cell<bool>,
}

impl RequestFacts {
    /// The facts before any lookup.
    pub fn new(ip: Option<String>, user_agent: String, presented: Presented) -> Self {
        Self {
            ip,
            user_agent,
            unattended: Cell::new(false),
            is_open_to_set_up: false,
            hints: Hints::default(),
            keys: presented.key().into_iter().cloned().collect(),
            presented,
            device_secrets: Vec::new(),
            renews_cookie: false,
            session: RefCell::new(PresentedSession::None),
            fault: RefCell::new(None),
            browser_zone: None,
            kept_zone: RefCell::new(None),
            ended_by_handler: Cell::new(false),
        }
    }

    /// Runs `work` with these facts.
    pub fn scope<T>(self: Rc<Self>, work: impl Future<Output = T>) -> impl Future<Output = T> {
        REQUEST.scope(self, work)
    }

    /// Runs `work`, which returns at once, with these facts.
    pub fn sync_scope<T>(self: Rc<Self>, work: impl FnOnce() -> T) -> T {
        REQUEST.sync_scope(self, work)
    }

    /// Whether the request presented this key.
    pub fn presents(&self, key: &SessionKey) -> bool {
        self.presented.key().is_some_and(|own| own.is_same(key))
    }

    /// Whether the browser has the secret with this hash.
    pub fn has_device_secret(&self, hash: &[u8]) -> bool {
        self.device_secrets.iter().any(|secret| secret.matches(hash))
    }

    /// The name of the time zone in which to show times in the response.
    pub fn reader_zone(&self) -> Option<String> {
        self.browser_zone.clone().or_else(|| self.kept_zone.borrow().clone())
    }

    pub fn presented_key(&self) -> Option<SessionKey> {
        self.presented.key().cloned()
    }

    /// The keys whose sessions a sign-out ends: all keys in the request, except the presented key if its session has
    /// already ended.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`MOST_KEYS`]. The caller must then end no session.
    pub fn keys_to_end(&self) -> Result<Vec<SessionKey>> {
        if self.keys.len() > MOST_KEYS {
            let message = "your browser sent too many session cookies: delete this site's cookies in your browser";
            return Err(Error::Invalid(message.into()));
        }
        let has_ended = |key: &&SessionKey| self.has_ended() && self.presents(key);
        Ok(self.keys.iter().filter(|key| !has_ended(key)).cloned().collect())
    }

    /// The current key of the live session, or else the presented key.
    pub fn key(&self) -> Option<SessionKey> {
        self.live().map(|live| live.key.clone()).or_else(|| self.presented_key())
    }

    /// The live session, if there is one.
    pub fn live(&self) -> Option<Rc<Loaded>> {
        match &*self.session.borrow() {
            PresentedSession::Live(loaded) => Some(Rc::clone(loaded)),
            _ => None,
        }
    }

    /// Whether a key was presented whose session is unknown: there is no such session, or the lookup failed.
    pub fn is_undecided(&self) -> bool {
        matches!((&self.presented, &*self.session.borrow()), (Presented::Key(_), PresentedSession::None))
    }

    /// Whether the presented key belongs to a session in this database, live or ended.
    pub fn is_known(&self) -> bool {
        !matches!(*self.session.borrow(), PresentedSession::None)
    }

    /// Whether the presented session has ended.
    pub fn has_ended(&self) -> bool {
        matches!(*self.session.borrow(), PresentedSession::Ended(_))
    }

    /// The error for a request without a live session.
    pub fn absence(&self) -> Error {
        match (&self.presented, &*self.session.borrow()) {
            (Presented::Nothing, _) => Error::LoginRequired,
            // A cookie under the name without a port belongs to another instance on this host.
            (_, PresentedSession::None) if self.renews_cookie => Error::LoginRequired,
            (_, PresentedSession::Ended(ended)) => Error::SessionEnded(ended.because),
            _ => Error::SessionEnded(EndedBecause::Unknown),
        }
    }
}

/// The facts of the current request; `None` outside a request.
pub fn current() -> Option<Rc<RequestFacts>> {
    REQUEST.try_with(Rc::clone).ok()
}

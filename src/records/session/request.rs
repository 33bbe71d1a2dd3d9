//! What the store must know of the request under way, and what it has to say about it. actix-session shows a store
//! nothing but keys and state; the rest travels beside it in a task-local that `security::envelope` sets.
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

/// Session keys in one request whose sessions a sign-out ends.
pub const MOST_KEYS: usize = 8;

/// What a browser presented as its session.
#[derive(Debug, Clone)]
pub enum Presented {
    /// No session cookie.
    Nothing,
    /// A cookie that we did not sign, or that holds no key; or several with different keys.
    Foreign,
    /// A key that we signed once.
    Key(SessionKey),
}

impl Presented {
    /// The key, if one was presented.
    pub fn key(&self) -> Option<&SessionKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Nothing | Self::Foreign => None,
        }
    }
}

/// What became of the session that a browser presented.
#[derive(Debug, Clone)]
pub enum PresentedSession {
    /// There is no session, or nobody looked yet.
    None,
    /// It lives.
    Live(Rc<Loaded>),
    /// It has ended.
    Ended(Ended),
    /// The key is from before a rotation, and the one after it was used: it can end the session, and nothing else.
    Former,
}

/// A session that lives, as it was when the request began.
#[derive(Debug)]
pub struct Loaded {
    /// Its row.
    pub record: Record,
    /// Whose it is.
    pub account: Account,
    /// What its device is called.
    pub device_name: Option<String>,
    /// Its key: the one that was presented, or the one that followed it and is handed over with the answer.
    pub key: SessionKey,
    /// Whether the browser shows its key for the first time, and something waits for that.
    pub first_use: bool,
    /// The hash of its device's secret then.
    pub first_use_with: Option<Vec<u8>>,
    /// What is handed over, if the browser has not got the answer that carried its new key.
    pub handed_over: Option<HandedOver>,
    /// The state, as it was stored.
    pub state: State,
    /// Since when the account has its present password.
    pub password_changed_at: Instant,
    /// The database's time when it was read.
    pub now: Instant,
}

/// What a browser gets with the answer, since it came with the key from before a rotation.
#[derive(Debug, Clone)]
pub struct HandedOver {
    /// The device secret that belongs to the new key, if that was made by a sign-in.
    pub device_secret: Option<Secret>,
    /// The hashes of the device's secrets, which the new one takes the place of.
    pub device_hashes: Vec<Vec<u8>>,
}

/// The facts of one request.
#[derive(Debug)]
pub struct RequestFacts {
    /// Names the request in its answer and in each line of the log.
    pub request_id: String,
    /// From where it came, through trusted proxies.
    pub ip: Option<String>,
    /// What the browser says of itself, unread: only a login looks at it.
    pub user_agent: String,
    /// Whether a page sent it by itself, without a person who did anything: it is no activity.
    pub unattended: Cell<bool>,
    /// And what its client hints say, unread too.
    pub hints: Hints,
    /// What it presented as its session.
    pub presented: Presented,
    /// Every session key of ours that it carries, also where they are too many to present a session.
    pub keys: Vec<SessionKey>,
    /// The secrets of its devices that the browser brought.
    pub device_secrets: Vec<Secret>,
    /// The session cookie came under its old name: the answer sets it under the current one.
    pub renews_cookie: bool,
    /// What became of the presented session.
    pub session: RefCell<PresentedSession>,
    /// What the store ran into: actix-session makes an opaque 500 of it, the outer layer what it really is.
    pub fault: RefCell<Option<Error>>,
    /// The name of the browser's time zone, if its script has said one.
    pub browser_zone: Option<String>,
    /// The name of the time zone that the account of the presented session keeps.
    pub kept_zone: RefCell<Option<String>>,
    /// Whether the handler has ended the session itself, so that the store need not.
    pub ended_by_handler: Cell<bool>,
}

impl RequestFacts {
    /// The facts before anything was looked at.
    pub fn new(request_id: String, ip: Option<String>, user_agent: String, presented: Presented) -> Self {
        Self {
            request_id,
            ip,
            user_agent,
            unattended: Cell::new(false),
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
    pub async fn scope<T>(self: Rc<Self>, work: impl Future<Output = T>) -> T {
        REQUEST.scope(self, work).await
    }

    /// Whether this is the key that the request presented.
    pub fn presents(&self, key: &SessionKey) -> bool {
        self.presented.key().is_some_and(|own| own.is_same(key))
    }

    /// Whether the browser has the secret with this hash.
    pub fn has_device_secret(&self, hash: &[u8]) -> bool {
        self.device_secrets.iter().any(|secret| secret.matches(hash))
    }

    /// The name of the time zone in which the answer is read.
    pub fn reader_zone(&self) -> Option<String> {
        self.browser_zone.clone().or_else(|| self.kept_zone.borrow().clone())
    }

    /// The key that was presented.
    pub fn presented_key(&self) -> Option<SessionKey> {
        self.presented.key().cloned()
    }

    /// The keys whose sessions a sign-out ends: all that the request carries, except one whose session is known to have
    /// ended.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`MOST_KEYS`]: then none is ended, and nothing may be claimed.
    pub fn keys_to_end(&self) -> Result<Vec<SessionKey>> {
        if self.keys.len() > MOST_KEYS {
            let words = "your browser sent too many session cookies: delete this site's cookies in your browser";
            return Err(Error::Invalid(words.into()));
        }
        let has_ended = |key: &&SessionKey| self.has_ended() && self.presents(key);
        Ok(self.keys.iter().filter(|key| !has_ended(key)).cloned().collect())
    }

    /// The present key of the session that lives, else the one that was presented.
    pub fn key(&self) -> Option<SessionKey> {
        self.live().map(|live| live.key.clone()).or_else(|| self.presented_key())
    }

    /// The session that lives, if one does.
    pub fn live(&self) -> Option<Rc<Loaded>> {
        match &*self.session.borrow() {
            PresentedSession::Live(loaded) => Some(Rc::clone(loaded)),
            _ => None,
        }
    }

    /// Whether nobody could say what became of the presented session.
    pub fn is_undecided(&self) -> bool {
        matches!((&self.presented, &*self.session.borrow()), (Presented::Key(_), PresentedSession::None))
    }

    /// Whether the presented key is that of a session in this database, living or not.
    pub fn is_known(&self) -> bool {
        !matches!(*self.session.borrow(), PresentedSession::None)
    }

    /// Whether there was a session, and it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(*self.session.borrow(), PresentedSession::Ended(_))
    }

    /// Why there is no session that lives.
    pub fn absence(&self) -> Error {
        match (&self.presented, &*self.session.borrow()) {
            (Presented::Nothing, _) => Error::LoginRequired,
            // Under the name without a port it is that of another instance on this host.
            (_, PresentedSession::None) if self.renews_cookie => Error::LoginRequired,
            (_, PresentedSession::Ended(ended)) => Error::SessionEnded(ended.because),
            _ => Error::SessionEnded(EndedBecause::Unknown),
        }
    }
}

/// The facts of the request under way; `None` outside of one.
pub fn current() -> Option<Rc<RequestFacts>> {
    REQUEST.try_with(Rc::clone).ok()
}

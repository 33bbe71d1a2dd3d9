//! The state of this instance that every request needs: origin, keys, limits, and the tables that bound what clients
//! use. Built once at the start and shared by all workers.
//!
//! Invariant: `is_ready` is true only after the database has answered and its schema is right.

use std::ops::Deref;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ipnet::IpNet;

use crate::actions::links::forgot::HelpDesk;
use crate::base::{
    brand::Brand,
    error::Result,
    keys::{IdentityKeys, Keys},
    settings::{PublicUrl, Settings, Signup},
    webauthn::{Ceremonies, NoPasskeys},
};
use crate::web::{
    answers::Answers, app_face::Face, connections::Connections, cookies::CookieNames, limits::Limits, rates::Rates,
    wrong_hosts::WrongHosts,
};

/// A handle of the state. Cheap to clone; all clones share one state. Each worker has a handle of its own behind
/// `web::Data`, because requests on different threads would contend for the reference count of a shared one.
#[derive(Debug, Clone)]
pub struct Site(Arc<SiteState>);

impl Deref for Site {
    type Target = SiteState;

    fn deref(&self) -> &SiteState {
        &self.0
    }
}

/// The state itself.
#[derive(Debug)]
pub struct SiteState {
    /// The origin in the browser's address bar.
    pub public: PublicUrl,
    /// The keys from the key file.
    pub keys: Keys,
    /// The keys that sign assertions for apps.
    pub identity: IdentityKeys,
    pub cookies: CookieNames,
    /// Name, logo, colour and contact.
    pub brand: Brand,
    /// What the pages on apps' hosts show of it.
    pub app_face: Face,
    /// The proxies whose forwarding headers are trusted.
    pub proxies: Vec<IpNet>,
    /// Whether this process terminates TLS, rather than a proxy.
    pub serves_tls: bool,
    /// The port that the server listens on.
    pub port: u16,
    /// Requests that a proxy passed on with another host than the browser sent.
    pub wrong_hosts: WrongHosts,
    /// The lifetime of a session cookie without a visit.
    pub idle: std::time::Duration,
    /// Who may create an account.
    pub signup: Signup,
    /// The most bytes of drafts per account.
    pub drafts_max: u64,
    /// Timeouts of requests.
    pub limits: Limits,
    /// The open connections.
    pub connections: Connections,
    /// The large answers in flight.
    pub answers: Answers,
    /// The rate limits.
    pub rates: Rates,
    /// The ceremonies of passkeys, or why a browser can have none for this service.
    pub passkeys: Result<Ceremonies, NoPasskeys>,
    /// Takes requests for help with a forgotten password.
    pub help: HelpDesk,
    ready: AtomicBool,
    has_owner: AtomicBool,
}

impl Site {
    /// Builds a site that is not ready yet. `connections` is the largest number of connections.
    pub fn new(
        public: PublicUrl,
        keys: Keys,
        settings: &Settings,
        limits: Limits,
        (port, connections): (u16, usize),
    ) -> Result<Self> {
        let brand = Brand::read(&settings.brand)?;
        Ok(Self(Arc::new(SiteState {
            identity: keys.identity()?,
            cookies: CookieNames::new(&public),
            app_face: Face::new(brand.clone())?,
            passkeys: Ceremonies::new(&public, &brand.name),
            brand,
            public,
            keys,
            proxies: settings.trusted_proxies.clone(),
            serves_tls: settings.tls.is_some(),
            port,
            wrong_hosts: WrongHosts::default(),
            idle: settings.idle_ttl,
            drafts_max: settings.drafts_max,
            limits,
            signup: settings.signup,
            connections: Connections::new(connections, settings.trusted_proxies.clone()),
            answers: Answers::default(),
            rates: Rates::default(),
            help: HelpDesk::default(),
            ready: AtomicBool::new(false),
            has_owner: AtomicBool::new(false),
        })))
    }
}

impl SiteState {
    /// Called once the database has answered and its schema is right. Requests are answered from now on.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Called once there is an owner. There is always one from then on, because the last owner cannot be removed.
    pub fn set_has_owner(&self) {
        self.has_owner.store(true, Ordering::Relaxed);
    }

    /// Whether this node knows of an owner. If false, ask the database: another node may have added one.
    pub fn has_owner(&self) -> bool {
        self.has_owner.load(Ordering::Relaxed)
    }

    /// Whether requests are answered.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

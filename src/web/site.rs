//! What every request needs to know of this instance: its origin, keys, limits, and the tables that bound what clients use.
//! Made once at the start and shared by all workers.
//!
//! Invariant: `is_ready` is true only after the database has answered and its schema is right.

use std::sync::atomic::{AtomicBool, Ordering};

use ipnet::IpNet;

use crate::base::{
    keys::Keys,
    settings::{PublicUrl, Settings, Signup},
};
use crate::web::{
    answers::Answers, connections::Connections, cookies::CookieNames, limits::Limits, rates::Rates,
    wrong_hosts::WrongHosts,
};

#[derive(Debug)]
pub struct Site {
    /// The origin that browsers see.
    pub public: PublicUrl,
    /// The key file's keys.
    pub keys: Keys,
    /// The names of the cookies.
    pub cookies: CookieNames,
    /// Whose forwarding headers are believed.
    pub proxies: Vec<IpNet>,
    /// Whether TLS ends here and not at a proxy.
    pub serves_tls: bool,
    /// The port that is listened on.
    pub port: u16,
    /// Requests that proxies passed on with another host than the browser's.
    pub wrong_hosts: WrongHosts,
    /// How long a cookie of a session lasts without a visit.
    pub idle: std::time::Duration,
    /// Who may make an account.
    pub signup: Signup,
    /// Bytes of drafts for which an account has room.
    pub drafts_max: u64,
    /// How long and large its requests may be.
    pub limits: Limits,
    /// Who has how many connections.
    pub connections: Connections,
    /// Large answers on their way.
    pub answers: Answers,
    /// How often something may be done.
    pub rates: Rates,
    ready: AtomicBool,
    has_owner: AtomicBool,
}

impl Site {
    /// A site that is not ready yet, listens on this port, with room for so many connections.
    pub fn new(
        public: PublicUrl,
        keys: Keys,
        settings: &Settings,
        limits: Limits,
        (port, connections): (u16, usize),
    ) -> Self {
        Self {
            cookies: CookieNames::new(&public),
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
            ready: AtomicBool::new(false),
            has_owner: AtomicBool::new(false),
        }
    }

    /// From now on requests are answered: the database has answered and its schema is right.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// From now on there is an owner: the last one can never be taken away.
    pub fn set_has_owner(&self) {
        self.has_owner.store(true, Ordering::Relaxed);
    }

    /// Whether there is certainly an owner. If not, the database may know of one by now.
    pub fn has_owner(&self) -> bool {
        self.has_owner.load(Ordering::Relaxed)
    }

    /// Whether requests are answered.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

//! The streams that are open on this node, and the choice of streams to close when another needs room. Used by the hub
//! and its subscriptions.
//!
//! Invariant: no session, account or address has more streams than its share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mailbox::{Mailbox, Notices};
use crate::{
    base::db::Instant,
    records::session::{
        SessionRef,
        ended::{EndReason, Ended, Hand},
        listing::Standing,
    },
};

/// Maximum number of streams per session. A browser opens one stream, or one per tab if its tabs cannot share one. The
/// oldest stream is closed.
const MOST_OF_A_SESSION: usize = 8;
/// Maximum number of streams per account. The oldest stream is closed.
const MOST_OF_AN_ACCOUNT: usize = 64;
/// Maximum number of streams per node.
const MOST: usize = 1_500;

/// The limits on open streams, derived from the number of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamLimits {
    pub(super) in_all: usize,
    of_an_account: usize,
    of_an_address: usize,
}

impl StreamLimits {
    /// Leaves a quarter of the connections for requests. An account may use at most a tenth of the connections, and an
    /// address at most a quarter of the streams, which is enough for a large office.
    pub(super) fn within(connections: usize) -> Self {
        let in_all = MOST.min(connections / 4 * 3);
        Self {
            in_all,
            of_an_account: MOST_OF_AN_ACCOUNT.min(connections / 10).max(MOST_OF_A_SESSION),
            of_an_address: (in_all / 4).max(MOST_OF_A_SESSION),
        }
    }
}

/// The subscriber of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The session's id.
    pub session: String,
    /// The account's id.
    pub account: String,
    /// The client's network, if known.
    pub network: Option<IpAddr>,
}

/// The open streams, which the hub and its subscriptions share.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<OpenStreams>>);

impl Streams {
    pub(super) fn lock(&self) -> MutexGuard<'_, OpenStreams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(super) struct OpenStreams {
    last: u64,
    pub(super) closed: bool,
    /// Keyed by number, so that the oldest stream comes first.
    pub(super) all: BTreeMap<u64, Stream>,
    pub(super) gap: bool,
}

pub(super) struct Stream {
    pub(super) session: String,
    pub(super) account: String,
    network: Option<IpAddr>,
    pub(super) mailbox: Arc<Mailbox>,
    /// The stream has been asked to close, and no longer counts.
    closes: bool,
}

impl OpenStreams {
    /// Adds a stream. Its first notice asks its subscriber to look up the session.
    pub(super) fn add(&mut self, listener: Listener) -> (u64, Arc<Mailbox>) {
        self.last += 1;
        let mailbox = Arc::new(Mailbox::default());
        mailbox.put(Notices { look: true, ..Notices::default() });
        let Listener { session, account, network } = listener;
        let subscriber = Stream { session, account, network, mailbox: Arc::clone(&mailbox), closes: false };
        self.all.insert(self.last, subscriber);
        (self.last, mailbox)
    }

    /// Makes room for one more stream. First closes the oldest streams of the session, account and address that have
    /// reached their shares. If the node is still full, closes the oldest stream of the account or address that has the
    /// most. Returns whether the new stream fits.
    pub(super) fn make_room(&mut self, listener: &Listener, room: StreamLimits) -> bool {
        self.keep_under(MOST_OF_A_SESSION, |one| one.session == listener.session);
        self.keep_under(room.of_an_account, |one| one.account == listener.account);
        if listener.network.is_some() {
            let is_same_network = |one: &Stream| one.network == listener.network;
            while self.count(is_same_network) >= room.of_an_address {
                // Close a stream of the account with the most streams at this address, so that other accounts at the
                // address lose none.
                let Some((account, _)) = self.fullest(|one| is_same_network(one).then(|| one.account.clone())) else {
                    break;
                };
                self.close_oldest(|one| is_same_network(one) && one.account == account);
            }
        }
        if self.count(|_| true) < room.in_all {
            return true;
        }
        let (own, here) =
            (self.count(|one| one.account == listener.account), self.count(|one| one.network == listener.network));
        let account = self.fullest(|one| Some(one.account.clone())).filter(|(_, many)| *many > own.max(1));
        let network = self.fullest(|one| one.network).filter(|(_, many)| *many > here.max(1));
        match (account, network) {
            (Some((account, _)), _) => self.close_oldest(|one| one.account == account),
            (None, Some((network, _))) => self.close_oldest(|one| one.network == Some(network)),
            (None, None) => return false,
        }
        true
    }

    fn keep_under(&mut self, most: usize, of: impl Fn(&Stream) -> bool) {
        while self.count(&of) >= most.max(1) {
            self.close_oldest(&of);
        }
    }

    fn count(&self, of: impl Fn(&Stream) -> bool) -> usize {
        self.all.values().filter(|one| !one.closes && of(one)).count()
    }

    /// The value of `name` with the most open streams, and their number.
    fn fullest<Name: Eq + Hash>(&self, name: impl Fn(&Stream) -> Option<Name>) -> Option<(Name, usize)> {
        let mut counts = HashMap::new();
        for name in self.all.values().filter(|one| !one.closes).filter_map(name) {
            *counts.entry(name).or_insert(0) += 1;
        }
        counts.into_iter().max_by_key(|(_, many)| *many)
    }

    fn close_oldest(&mut self, of: impl Fn(&Stream) -> bool) {
        if let Some(oldest) = self.all.values_mut().find(|one| !one.closes && of(one)) {
            oldest.closes = true;
            oldest.mailbox.put(Notices { close: true, ..Notices::default() });
        }
    }

    pub(super) fn of(&self, account: &str, notices: impl Fn(&str) -> Notices) {
        for one in self.all.values().filter(|one| one.account == account) {
            one.mailbox.put(notices(&one.session));
        }
    }

    pub(super) fn end(&self, of: &BTreeMap<String, Vec<String>>, reason: EndReason, at: Option<Instant>) {
        // The login page reads from the row who ended the session.
        let ended = Ended { because: reason.shown(), at, hand: Hand::None };
        let ended = Notices { ended: Some(ended), ..Notices::default() };
        let others = Notices { sessions: true, ..Notices::default() };
        for one in self.all.values() {
            if let Some(sessions) = of.get(&one.account) {
                one.mailbox.put(if sessions.contains(&one.session) { ended.clone() } else { others.clone() });
            }
        }
    }

    pub(super) fn settle(&self, looked_up: &[SessionRef], standings: &BTreeMap<String, Standing>, gap: bool) {
        let looked_up: HashSet<&str> = looked_up.iter().map(|session| session.id.as_str()).collect();
        for one in self.all.values().filter(|one| looked_up.contains(one.session.as_str())) {
            one.mailbox.put(match standings.get(&one.session) {
                None => Notices { rotated: true, ..Notices::default() },
                Some(Standing::Ended(ended)) => Notices { ended: Some(*ended), ..Notices::default() },
                Some(Standing::Live { .. }) => Notices { sessions: gap, drafts: gap, ..Notices::default() },
            });
        }
    }
}

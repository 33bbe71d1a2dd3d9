//! Limits the connections of each address. The listener requests a place for each connection before it reads a byte. The
//! outermost layer marks the connections that have a request under way.
//!
//! Invariant: no address has more than its share. If the node is full, a client from an address with few connections is
//! admitted as long as an address with more connections has an idle one to close. Trusted proxies have no share, because
//! many clients connect through them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};
use std::time::Instant;

use futures_util::task::AtomicWaker;
use ipnet::IpNet;

use super::proxies::network;
use crate::base::error::{Away, Error, Result};

/// The value of `idle_since` before the connection was first seen idle.
const NEVER: u64 = u64::MAX;

/// The largest number of connections, in total and per address. An office or a shop behind one address has about six
/// for each browser.
#[derive(Debug, Clone, Copy)]
struct Room {
    total: usize,
    per_address: usize,
}

/// The connections of this node. Clones share one table.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    room: Room,
    proxies: Vec<IpNet>,
    began: Instant,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    all: BTreeMap<u64, Entry>,
    by_network: HashMap<IpAddr, usize>,
    requests: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    /// None for a trusted proxy.
    network: Option<IpAddr>,
    connection: Connection,
}

impl Connections {
    /// Allows `total` connections, and a quarter of them per address.
    pub fn new(total: usize, proxies: Vec<IpNet>) -> Self {
        let room = Room { total, per_address: (total / 4).max(1) };
        Self(Arc::new(Inner { room, proxies, began: Instant::now(), table: Mutex::default() }))
    }

    /// Makes a place for a connection. If its address has reached its share, the connection of that address that has
    /// been idle longest is closed. If the node is full, this applies to the address with the most connections. None if
    /// no connection is idle.
    pub fn place(&self, peer: Option<IpAddr>) -> Option<Place> {
        let Inner { room, proxies, began, .. } = &*self.0;
        let peer = peer.map(|peer| peer.to_canonical());
        let network = peer.filter(|peer| !proxies.iter().any(|net| net.contains(peer))).map(network);
        let mut table = self.lock();
        let own = network.map_or(0, |network| table.by_network.get(&network).copied().unwrap_or(0));
        let has_room = if own >= room.per_address {
            table.close_idlest(|entry| entry.network == network)
        } else if table.all.len() >= room.total {
            let fullest = table.by_network.iter().max_by_key(|(_, many)| **many);
            let fullest = fullest.filter(|(_, many)| **many > own).map(|(network, _)| *network);
            fullest.is_some_and(|fullest| table.close_idlest(|entry| entry.network == Some(fullest)))
                || table.close_idlest(|_| true)
        } else {
            true
        };
        if !has_room {
            return None;
        }
        table.last += 1;
        let number = table.last;
        let connection = Connection::new(*began);
        if let Some(network) = network {
            *table.by_network.entry(network).or_default() += 1;
        }
        table.all.insert(number, Entry { network, connection: connection.clone() });
        Some(Place { of: self.clone(), number, connection })
    }

    /// Counts a request of a client until the returned guard is dropped. Behind a trusted proxy this is the only limit
    /// on a client.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the client has as many requests under way as its share of connections.
    pub fn request(&self, client: IpAddr) -> Result<Request> {
        let network = network(client);
        let mut table = self.lock();
        let under_way = table.requests.entry(network).or_default();
        if *under_way >= self.0.room.per_address {
            return Err(Error::unavailable(Away::Busy, "too many requests of one address are under way"));
        }
        *under_way += 1;
        Ok(Request { of: self.clone(), network })
    }

    pub fn open(&self) -> usize {
        self.lock().all.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Closes the connection that has been idle longest among those that `of` selects. False if none of them is idle.
    fn close_idlest(&mut self, of: impl Fn(&Entry) -> bool) -> bool {
        let idle = self.all.iter().filter(|(_, entry)| of(entry));
        let idle = idle.filter_map(|(number, entry)| Some((entry.connection.idle_since()?, *number)));
        let Some((_, number)) = idle.min() else { return false };
        if let Some(entry) = self.remove(number) {
            entry.connection.close();
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.all.remove(&number)?;
        if let Some(network) = entry.network {
            take_one(&mut self.by_network, network);
        }
        Some(entry)
    }
}

fn take_one(counts: &mut HashMap<IpAddr, usize>, network: IpAddr) {
    if let Some(many) = counts.get_mut(&network) {
        *many -= 1;
        if *many == 0 {
            counts.remove(&network);
        }
    }
}

/// The place of a connection. Dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    of: Connections,
    number: u64,
    pub connection: Connection,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.lock().remove(self.number);
    }
}

/// A guard for a request: it counts as under way until the guard is dropped.
#[derive(Debug)]
pub struct Request {
    of: Connections,
    network: IpAddr,
}

impl Drop for Request {
    fn drop(&mut self) {
        take_one(&mut self.of.lock().requests, self.network);
    }
}

/// The state of a connection: whether a request is under way, and whether the connection has to close. Stored in the
/// connection's data. Clones share one state.
#[derive(Debug, Clone)]
pub struct Connection(Arc<State>);

#[derive(Debug)]
struct State {
    began: Instant,
    under_way: AtomicU32,
    /// Milliseconds from `began` to the moment when the connection was last seen idle; `NEVER` until then.
    idle_since: AtomicU64,
    closed: AtomicBool,
    reader: AtomicWaker,
    /// The deadline by which the client must have taken the answer.
    taken_by: Mutex<Option<Instant>>,
}

impl Connection {
    fn new(began: Instant) -> Self {
        Self(Arc::new(State {
            began,
            under_way: AtomicU32::new(0),
            idle_since: AtomicU64::new(NEVER),
            closed: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            taken_by: Mutex::new(None),
        }))
    }

    /// Marks a request as under way until the returned guard is dropped.
    pub fn begin(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(self.clone())
    }

    /// Whether a handler is working on a request or its answer is being sent.
    pub fn is_busy(&self) -> bool {
        self.0.under_way.load(Ordering::Acquire) > 0
    }

    /// Records that the client has sent nothing to read.
    pub fn nothing_to_read(&self) {
        if self.0.idle_since.load(Ordering::Relaxed) == NEVER {
            self.0.idle_since.store(self.millis(), Ordering::Relaxed);
        }
    }

    fn idle_since(&self) -> Option<u64> {
        Some(self.0.idle_since.load(Ordering::Relaxed)).filter(|since| *since != NEVER && !self.is_busy())
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.reader.wake();
    }

    /// Whether the connection has to close. If not, the task is woken when it does.
    pub fn has_to_close(&self, task: &std::task::Waker) -> bool {
        self.0.reader.register(task);
        self.0.closed.load(Ordering::Acquire)
    }

    /// The deadline by which the client must have taken the answer, if there is one.
    pub fn taken_by(&self) -> Option<Instant> {
        *self.0.taken_by.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_taken_by(&self, moment: Option<Instant>) {
        *self.0.taken_by.lock().unwrap_or_else(PoisonError::into_inner) = moment;
    }
}

/// A guard for a connection: it counts as busy until the guard is dropped.
#[derive(Debug)]
pub struct UnderWay(Connection);

impl UnderWay {
    pub fn connection(&self) -> &Connection {
        &self.0
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let state = &self.0.0;
        state.idle_since.store(self.0.millis(), Ordering::Relaxed);
        state.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn is_closed(place: &Place) -> bool {
        place.connection.has_to_close(Waker::noop())
    }

    /// Opens `many` idle connections from an address.
    fn idle(places: &Connections, from: &str, many: usize) -> Vec<Place> {
        let place = |_| {
            let place = places.place(ip(from)).unwrap();
            place.connection.nothing_to_read();
            place
        };
        (0..many).map(place).collect()
    }

    #[test]
    fn an_address_over_its_share_loses_its_longest_idle_connection() {
        let places = Connections::new(16, Vec::new());
        let held = idle(&places, "192.0.2.1", 4);
        let under_way = held[0].connection.begin();
        assert!(places.place(ip("192.0.2.1")).is_some());
        let closed: Vec<bool> = held.iter().map(is_closed).collect();
        assert_eq!(closed, [false, true, false, false], "the oldest connection is busy");
        assert_eq!(places.open(), 3, "the new connection is gone, too");
        drop(under_way);
        assert!(places.place(ip("192.0.2.2")).is_some(), "another address loses no connection");
        assert!(!is_closed(&held[0]));
    }

    #[test]
    fn new_and_busy_connections_are_never_closed() {
        let places = Connections::new(16, Vec::new());
        let fresh: Vec<Place> = (0..4).map(|_| places.place(ip("192.0.2.1")).unwrap()).collect();
        assert!(places.place(ip("192.0.2.1")).is_none());
        let at_work: Vec<UnderWay> = fresh.iter().map(|place| place.connection.begin()).collect();
        assert!(places.place(ip("192.0.2.1")).is_none());
        drop(at_work);
        assert!(places.place(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn a_full_node_closes_a_connection_of_the_largest_address() {
        let places = Connections::new(16, Vec::new());
        let few = idle(&places, "192.0.2.1", 2);
        let many: Vec<Place> =
            (2..6).flat_map(|n| idle(&places, &format!("192.0.2.{n}"), if n < 5 { 4 } else { 2 })).collect();
        assert_eq!(places.open(), 16);
        let new = places.place(ip("192.0.2.9"));
        assert!(new.is_some() && !few.iter().any(is_closed));
        assert_eq!(many.iter().filter(|place| is_closed(place)).count(), 1);
    }

    #[test]
    fn a_trusted_proxy_has_no_share_and_an_ipv6_customer_has_one() {
        let places = Connections::new(16, vec!["10.0.0.0/8".parse().unwrap()]);
        let proxied = idle(&places, "::ffff:10.0.0.1", 10);
        assert!(!proxied.iter().any(is_closed));
        let customer = idle(&places, "2001:db8::1", 4);
        assert!(places.place(ip("2001:db8::ffff:2")).is_some() && is_closed(&customer[0]));
        assert!(!proxied.iter().any(is_closed));
    }

    #[test]
    fn requests_per_client_are_bounded_and_places_are_freed() {
        let places = Connections::new(16, Vec::new());
        let held: Vec<Request> = (0..4).map(|_| places.request(ip("192.0.2.1").unwrap()).unwrap()).collect();
        assert!(places.request(ip("192.0.2.1").unwrap()).is_err());
        assert!(places.request(ip("192.0.2.2").unwrap()).is_ok());
        drop(held);
        drop(idle(&places, "192.0.2.1", 3));
        let table = places.lock();
        assert!(table.all.is_empty() && table.by_network.is_empty() && table.requests.len() <= 1);
    }
}

//! Limits on failed passwords and new accounts, in the database. [`count`] stores the counts. Called by
//! [`password_proof`](crate::actions::password_proof), which checks every password, and by
//! [`new_password`](crate::actions::new_password), which hashes the password of every new account.
//!
//! To limit another action, make a [`Subject`] for it with [`Subject::network_doing`]. [`count::begin`] counts the try
//! before the work, and [`count::give_back`], [`count::keep`] or [`count::withdraw`] settles it afterwards. Each
//! subject has one row, which is deleted a day after its last use.
//!
//! Invariant: a subject never gets more tries than its limit allows, even if many tries begin at once on many nodes. A
//! try under way counts as a failure until its outcome is known.

pub mod count;

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::base::{db::Instant, error::Result};

/// The first wait. Each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(3600);

/// How many failures a subject may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Limit {
    /// Failures without a wait, whether one after another or at once.
    pub free: u32,
    /// The time without a failure after which all failures are forgotten.
    pub memory: Duration,
}

/// For an account, and for a browser that has its own count. This allows 22 tries in the first hour, 114 on the first
/// day and 96 on each day after it. NIST SP 800-63B-4, 3.2.2 asks to disable a password after 100 failures in a row,
/// but then any stranger could lock people out of their accounts.
const ACCOUNT: Limit = Limit { free: 10, memory: Duration::from_secs(24 * 3600) };
/// For browsers on which only an earlier password of the account was entered. Smaller than [`ACCOUNT`], because these
/// tries add to those of the account.
const FORMER_BROWSER: Limit = Limit { free: 5, memory: Duration::from_secs(24 * 3600) };
/// For a client's network, which a whole office may share.
const ADDRESS: Limit = Limit { free: 50, memory: HOUR };
/// For new accounts from one network: a whole office may sign up on the same day.
const NEW_ACCOUNTS: Limit = Limit { free: 50, memory: HOUR };

/// The subject of a count: an account, a browser, or one kind of action by a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// SHA-256 of the subject's kind and name.
    hash: Vec<u8>,
    limit: Limit,
    success: Success,
    /// Whether the count belongs to an address, and is deleted when addresses are wiped.
    of_address: bool,
}

/// The effect of a success on the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Success {
    /// Resets the count.
    Clears,
    /// No effect. Otherwise an attacker could reset the count by signing in to their own account between tries.
    Nothing,
    /// Counts like a failure, because the limit is for the action itself.
    Counts,
}

/// A client's network: its IPv4 address, or the /64 of its IPv6 address, which belongs to one customer (RFC 6177).
/// Stored only as a keyed hash. There are so few addresses that a plain hash would reveal the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network(String);

impl Network {
    /// The network of an address, named by the keyed hash that `conceal` returns. All clients without a known address
    /// share one network, so that a missing address does not bypass a limit.
    ///
    /// # Errors
    /// The errors of `conceal`.
    pub fn new(ip: Option<IpAddr>, conceal: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let network = match ip.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => ip.to_string(),
            Some(IpAddr::V6(ip)) => format!("{:x}", u128::from(ip) >> 64),
            None => "unknown".to_owned(),
        };
        conceal(&network).map(Self)
    }
}

impl Subject {
    /// Tries to sign in to the account with this canonical e-mail address, whether or not the account exists.
    pub fn account(email_key: &str) -> Self {
        Self::new("account", email_key, ACCOUNT, Success::Clears)
    }

    /// Wrong passwords from a network.
    pub fn address(network: &Network) -> Self {
        Self { success: Success::Nothing, ..Self::network_doing("address", network, ADDRESS) }
    }

    /// New accounts from a network.
    pub fn new_accounts(network: &Network) -> Self {
        Self::network_doing("new-accounts", network, NEW_ACCOUNTS)
    }

    /// An action by a network. Each try counts, even if it succeeds. `what` is the name of the count.
    pub fn network_doing(what: &'static str, network: &Network, limit: Limit) -> Self {
        Self { of_address: true, ..Self::new(what, &network.0, limit, Success::Counts) }
    }

    /// A browser on which the account's current password was entered.
    pub fn device(id: &str) -> Self {
        Self::new("device", id, ACCOUNT, Success::Clears)
    }

    /// An acknowledged browser on which only an earlier password of the account was entered.
    pub fn former_device(id: &str) -> Self {
        Self::new("former-device", id, FORMER_BROWSER, Success::Clears)
    }

    /// All other browsers of an account on which only an earlier password was entered. They share one count, because an
    /// attacker with the earlier password may have created many of them.
    pub fn former_devices(account_id: &str) -> Self {
        Self::new("former-devices", account_id, FORMER_BROWSER, Success::Clears)
    }

    /// The second-factor codes of the same account, browser or network. They are counted apart from its passwords, so a right
    /// password gives no further tries at a code.
    #[must_use]
    pub fn of_codes(self) -> Self {
        let hash = Sha256::new().chain_update("codes:").chain_update(&self.hash).finalize().to_vec();
        Self { hash, ..self }
    }

    fn new(kind: &'static str, name: &str, limit: Limit, success: Success) -> Self {
        let hash = Sha256::new().chain_update(kind).chain_update(":").chain_update(name).finalize().to_vec();
        Self { hash, limit, success, of_address: false }
    }
}

/// The count of a subject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Failures, such as wrong passwords. Includes successes where `Success::Counts` applies.
    pub failures: u32,
    /// When the last failure was counted.
    pub last_failed_at: Option<Instant>,
    /// Tries whose outcome is not known yet.
    pub under_way: u32,
}

impl Count {
    /// Failures that still count at `now`.
    pub fn remembered(self, limit: Limit, now: Instant) -> u32 {
        match self.last_failed_at {
            Some(at) if now.since(at) < limit.memory => self.failures,
            _ => 0,
        }
    }

    /// The wait before the next try. `None` if a try may begin at `now`.
    pub fn wait(self, limit: Limit, now: Instant) -> Option<Duration> {
        let failures = self.remembered(limit, now);
        let counted = failures.saturating_add(self.under_way);
        if counted < limit.free {
            return None;
        }
        let passed = self.last_failed_at.map_or(Duration::MAX, |at| now.since(at));
        let left = delay(limit, failures).saturating_sub(passed);
        if !left.is_zero() {
            return Some(left);
        }
        // Beyond the free failures, allow one try at a time: its outcome decides about the next.
        (self.under_way > 0).then_some(FIRST_WAIT)
    }
}

/// The wait after this many failures.
fn delay(limit: Limit, failures: u32) -> Duration {
    match failures.checked_sub(limit.free) {
        None => Duration::ZERO,
        Some(beyond) => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(beyond)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Instant = Instant::from_micros(1_795_460_400_000_000);

    fn failed(failures: u32, ago: Duration) -> Count {
        Count { failures, last_failed_at: Some(NOW.minus(ago)), under_way: 0 }
    }

    #[test]
    fn the_first_failures_are_free_and_then_the_wait_doubles() {
        assert_eq!(failed(9, Duration::ZERO).wait(ACCOUNT, NOW), None);
        let waits: Vec<u64> =
            (10..22).map(|failures| failed(failures, Duration::ZERO).wait(ACCOUNT, NOW).unwrap().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    }

    #[test]
    fn a_try_may_begin_after_the_wait_and_a_day_forgets_all() {
        assert_eq!(failed(12, Duration::from_secs(3)).wait(ACCOUNT, NOW), Some(Duration::from_secs(1)));
        assert_eq!(failed(12, Duration::from_secs(4)).wait(ACCOUNT, NOW), None);
        assert_eq!(failed(1000, ACCOUNT.memory).remembered(ACCOUNT, NOW), 0);
    }

    #[test]
    fn a_client_gets_at_most_22_tries_in_an_hour_and_114_in_a_day() {
        let tries_within = |limit: Limit, span: Duration| {
            let (mut count, mut now) = (Count::default(), NOW);
            while now.since(NOW) < span {
                count = Count { failures: count.remembered(limit, now) + 1, last_failed_at: Some(now), under_way: 0 };
                now = now.plus(count.wait(limit, now).unwrap_or_default());
            }
            count.failures
        };
        let day = HOUR * 24;
        assert_eq!([HOUR, day, day * 2].map(|span| tries_within(ACCOUNT, span)), [22, 114, 210]);
        assert_eq!([HOUR, day].map(|span| tries_within(ADDRESS, span)), [62, 154]);
    }

    #[test]
    fn a_try_under_way_counts_as_a_failure() {
        let under_way = |under_way| Count { failures: 4, last_failed_at: Some(NOW), under_way };
        assert_eq!(under_way(5).wait(ACCOUNT, NOW), None);
        assert_eq!(under_way(6).wait(ACCOUNT, NOW), Some(FIRST_WAIT));
        let late = Count { under_way: 1, ..failed(10, HOUR) };
        assert_eq!(late.wait(ACCOUNT, NOW), Some(FIRST_WAIT), "one try at a time beyond the free failures");
    }

    #[test]
    fn an_ipv6_customer_is_one_subject_and_a_mapped_address_is_its_ipv4() {
        let network = |ip: Option<&str>| Network::new(ip.map(|ip| ip.parse().unwrap()), |name| Ok(name.to_owned()));
        let of = |ip: &str| Subject::address(&network(Some(ip)).unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(Subject::account("x"), Subject::device("x"));
        let unknown = network(None).unwrap();
        assert_ne!(Subject::address(&unknown), of("192.0.2.1"));
        assert_ne!(Subject::address(&unknown), Subject::new_accounts(&unknown));
    }

    proptest! {
        /// A client that tries as soon as possible, with any number of tries at once, stays within the limit.
        #[test]
        fn no_client_gets_more_tries_than_the_limit(
            steps in proptest::collection::vec((0_u32..4, 0_u64..2000), 1..400),
        ) {
            let (mut count, mut now, start) = (Count::default(), NOW, NOW);
            let mut tried = 0_u32;
            for (settle, seconds) in steps {
                now = now.plus(Duration::from_secs(seconds));
                if count.wait(ACCOUNT, now).is_none() {
                    count.under_way += 1;
                    tried += 1;
                }
                for _ in 0..settle.min(count.under_way) {
                    count.failures = count.remembered(ACCOUNT, now) + 1;
                    count.last_failed_at = Some(now);
                    count.under_way -= 1;
                }
                let days = u32::try_from(now.since(start).as_secs() / 86_400).unwrap() + 1;
                prop_assert!(count.under_way <= ACCOUNT.free);
                prop_assert!(tried <= days * (ACCOUNT.free + 97) + ACCOUNT.free, "{tried} in {days} days");
            }
        }

        #[test]
        fn a_wait_is_positive_and_at_most_the_longest(
            failures in any::<u32>(), under_way in any::<u32>(), ago in 0_u64..200_000,
        ) {
            let count = Count { under_way, ..failed(failures, Duration::from_secs(ago)) };
            if let Some(wait) = count.wait(ADDRESS, NOW) {
                prop_assert!(wait > Duration::ZERO && wait <= LONGEST_WAIT);
            }
        }

        #[test]
        fn waits_grow_with_failures_and_shrink_with_time(
            failures in 0_u32..60, ago in 0_u64..86_000, later in 0_u64..86_000,
        ) {
            let wait = |failures, ago| failed(failures, Duration::from_secs(ago)).wait(ACCOUNT, NOW).unwrap_or_default();
            prop_assert!(wait(failures + 1, ago) >= wait(failures, ago));
            prop_assert!(wait(failures, ago + later) <= wait(failures, ago));
        }
    }
}

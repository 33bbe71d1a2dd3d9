//! Limits on other actions, in memory: a token bucket on this node for each account and each address. Handlers check
//! them before they query the database.
//!
//! Invariant: a refusal here costs neither a database write nor a password hash. Reading and ending sessions are never
//! limited: an intruder in a session must not be able to keep its owner from ending it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::proxies::network;
use crate::base::error::{Error, Result};

/// An act that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// A sync operation, or a draft saved by a form. A device that was offline may send thousands. Pages save at each
    /// pause in typing, and later send everything at once that they could not send before.
    Operation,
    /// A change of one thing, such as a name or the answer to "was it you?".
    Change,
    /// A code for an app. A browser that restores its tabs opens many at once.
    Opening,
    /// A write to the session's data, which programs do.
    Data,
    /// A correct password at a sign-in or a confirmation.
    SignIn,
    /// A correct password with a new one. Each costs another hash and an audit event.
    NewPassword,
}

/// The capacity of a bucket, and the tokens that it gains in 1000 seconds.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: f64,
    in_1000_s: f64,
}

const fn rate(burst: u32, in_1000_s: u32) -> Rate {
    Rate { burst: burst as f64, in_1000_s: in_1000_s as f64 }
}

impl Act {
    fn per_account(self) -> Rate {
        match self {
            Self::Operation => rate(5_000, 250),
            Self::Change => rate(300, 1_000),
            Self::Opening => rate(2_000, 1_000),
            Self::Data => rate(3_000, 50_000),
            Self::SignIn => rate(2_000, 100),
            Self::NewPassword => rate(30, 10),
        }
    }

    /// A whole office may be behind one address.
    fn per_address(self) -> Rate {
        match self {
            Self::Operation => rate(50_000, 20_000),
            Self::Change => rate(3_000, 20_000),
            Self::Opening => rate(20_000, 20_000),
            Self::Data => rate(30_000, 500_000),
            Self::SignIn => rate(6_000, 5_000),
            Self::NewPassword => rate(1_000, 1_000),
        }
    }
}

/// The most buckets in memory. Full buckets are removed first, because a missing bucket counts as full.
const MOST: usize = 100_000;

/// The buckets of this node.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<(Act, Subject), Bucket>>);

/// The account or network that a bucket belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The id of an account, or the key of its e-mail address.
    Account(String),
    Network(IpAddr),
}

impl Subject {
    /// The network of an IP address.
    pub fn address(ip: IpAddr) -> Self {
        Self::Network(network(ip))
    }

    fn rate(&self, act: Act) -> Rate {
        match self {
            Self::Account(_) => act.per_account(),
            Self::Network(_) => act.per_address(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn filled(self, rate: Rate, now: Instant) -> Self {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        Self { tokens: (self.tokens + since * rate.in_1000_s / 1000.0).min(rate.burst), at: now }
    }
}

impl Rates {
    /// Takes `many` tokens from each bucket, or none from any. A number above a bucket's capacity takes the whole
    /// bucket.
    ///
    /// # Errors
    /// [`Error::TooFast`] with the time until there are enough tokens.
    pub fn take(&self, act: Act, subjects: &[Subject], many: usize) -> Result<()> {
        if many == 0 { Ok(()) } else { self.take_at(act, subjects, many, Instant::now()) }
    }

    /// Checks that one token is available, without taking it.
    ///
    /// # Errors
    /// [`Error::TooFast`] with the time until there is one.
    pub fn look(&self, act: Act, subject: &Subject) -> Result<()> {
        self.take_at(act, std::slice::from_ref(subject), 0, Instant::now())
    }

    /// Takes one token for an act that is already done. The balance may become negative, which lengthens the next wait.
    pub fn charge(&self, act: Act, subject: &Subject) {
        self.charge_at(act, subject, Instant::now());
    }

    fn charge_at(&self, act: Act, subject: &Subject, now: Instant) {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = subject.rate(act);
        let key = (act, subject.clone());
        let bucket = buckets.get(&key).copied().unwrap_or(Bucket { tokens: rate.burst, at: now }).filled(rate, now);
        make_room(&mut buckets, now);
        buckets.insert(key, Bucket { tokens: (bucket.tokens - 1.0).max(-rate.burst), ..bucket });
    }

    fn take_at(&self, act: Act, subjects: &[Subject], many: usize, now: Instant) -> Result<()> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let rate = subject.rate(act);
            let key = (act, subject.clone());
            let bucket = buckets.get(&key).copied().unwrap_or(Bucket { tokens: rate.burst, at: now }).filled(rate, now);
            let wanted = f64::from(u32::try_from(many).unwrap_or(u32::MAX)).min(rate.burst);
            let missing = wanted.max(1.0) - bucket.tokens;
            if missing > 0.0 {
                return Err(Error::TooFast(Duration::from_secs_f64(missing * 1000.0 / rate.in_1000_s)));
            }
            taken.push((key, Bucket { tokens: bucket.tokens - wanted, ..bucket }));
        }
        if many > 0 {
            make_room(&mut buckets, now);
            buckets.extend(taken);
        }
        Ok(())
    }
}

/// Removes full buckets if the table is full. If it is still half full, the older half is removed too: that is better
/// than to grow or to refuse everybody.
fn make_room(buckets: &mut HashMap<(Act, Subject), Bucket>, now: Instant) {
    if buckets.len() < MOST {
        return;
    }
    buckets.retain(|(act, subject), bucket| {
        let rate = subject.rate(*act);
        bucket.filled(rate, now).tokens < rate.burst
    });
    if buckets.len() >= MOST / 2 {
        let mut ages: Vec<Instant> = buckets.values().map(|bucket| bucket.at).collect();
        ages.sort_unstable();
        let middle = ages[ages.len() / 2];
        buckets.retain(|_, bucket| bucket.at > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str) -> Subject {
        Subject::Account(id.to_owned())
    }

    fn wait(result: Result<()>) -> Option<Duration> {
        match result {
            Ok(()) => None,
            Err(Error::TooFast(wait)) => Some(wait),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_burst_is_free_and_then_the_rate_applies() {
        let (rates, now) = (Rates::default(), Instant::now());
        let take =
            |many, after| wait(rates.take_at(Act::Change, &[account("a")], many, now + Duration::from_secs(after)));
        assert_eq!((take(200, 0), take(100, 0)), (None, None));
        assert_eq!(take(1, 0), Some(Duration::from_secs(1)));
        assert_eq!((take(1, 1), take(1, 1)), (None, Some(Duration::from_secs(1))));
        assert_eq!(take(200, 1), Some(Duration::from_secs(200)));
        assert_eq!((take(300, 400), take(1, 400)), (None, Some(Duration::from_secs(1))), "at most a burst is saved up");
        assert_eq!(wait(rates.take_at(Act::Change, &[account("b")], 1, now)), None, "each account has its own bucket");
        assert_eq!(wait(rates.take_at(Act::Operation, &[account("a")], 1, now)), None);
    }

    #[test]
    fn a_refusal_by_address_does_not_charge_the_account() {
        let (rates, now) = (Rates::default(), Instant::now());
        let here = Subject::address("2001:db8::1".parse().unwrap());
        for n in 0..10 {
            assert_eq!(wait(rates.take_at(Act::Change, &[account(&format!("a{n}")), here.clone()], 300, now)), None);
        }
        assert!(wait(rates.take_at(Act::Change, &[account("b"), here], 1, now)).is_some());
        assert_eq!(wait(rates.take_at(Act::Change, &[account("b")], 300, now)), None);
    }

    #[test]
    fn zero_acts_are_never_refused() {
        let (rates, one) = (Rates::default(), account("a"));
        assert!(rates.take(Act::Change, std::slice::from_ref(&one), 300).is_ok());
        assert!(rates.take(Act::Change, std::slice::from_ref(&one), 1).is_err());
        assert!(rates.take(Act::Change, &[one], 0).is_ok());
    }

    #[test]
    fn looking_takes_nothing() {
        let (rates, now) = (Rates::default(), Instant::now());
        let one = account("a");
        for _ in 0..10 {
            assert!(rates.look(Act::SignIn, &one).is_ok());
        }
        assert!(rates.0.lock().unwrap().is_empty());
        assert_eq!(wait(rates.take_at(Act::SignIn, std::slice::from_ref(&one), 5_000, now)), None);
        assert!(rates.look(Act::SignIn, &one).is_err());
    }

    #[test]
    fn a_charge_may_make_the_balance_negative() {
        let (rates, now) = (Rates::default(), Instant::now());
        let one = account("a");
        for _ in 0..40 {
            rates.charge_at(Act::NewPassword, &one, now);
        }
        let look = |after| {
            wait(rates.take_at(Act::NewPassword, std::slice::from_ref(&one), 0, now + Duration::from_secs(after)))
        };
        assert_eq!(
            (look(0), look(1_099), look(1_101)),
            (Some(Duration::from_secs(1_100)), Some(Duration::from_secs(1)), None)
        );
        for _ in 0..1_000 {
            rates.charge_at(Act::NewPassword, &one, now);
        }
        assert_eq!(look(0), Some(Duration::from_secs(3_100)), "the debt is at most a burst");
    }

    #[test]
    fn the_table_stays_bounded() {
        let (mut buckets, now) = (HashMap::new(), Instant::now());
        for n in 0..MOST {
            let at = now + Duration::from_micros(n as u64);
            buckets.insert((Act::SignIn, account(&n.to_string())), Bucket { tokens: 1.0, at });
        }
        make_room(&mut buckets, now + Duration::from_secs(1));
        assert!(buckets.len() < MOST / 2 + 1 && buckets.contains_key(&(Act::SignIn, account(&(MOST - 1).to_string()))));
        make_room(&mut buckets, now + Duration::from_secs(100_000));
        assert!(!buckets.is_empty(), "below the limit no bucket is removed");
    }
}

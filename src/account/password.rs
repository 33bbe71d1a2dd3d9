//! Passwords: Argon2id with 19 MiB, two passes, one lane (OWASP Password Storage Cheat Sheet; RFC 9106), on a bounded
//! set of threads with a bounded queue before it. Called by the login rule, setup and the commands.
//!
//! Invariant: however many sign in at once, at most as many hashes are computed as there are slots and a bounded number waits.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use tokio::sync::Semaphore;

use crate::error::{Away, Error, Result};

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const MOST_SLOTS: usize = 8;
/// How many may wait for each slot: at some 30 ms a hash, about a second.
const QUEUE_PER_SLOT: usize = 32;

/// Shortest password that may be chosen, in characters.
pub const SHORTEST: usize = 12;
/// Longest password that may be chosen, in characters.
pub const LONGEST: usize = 128;

/// Computes and checks hashes. Cheap to clone; all clones share the slots.
#[derive(Clone)]
pub struct Hasher {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
    /// The hash of nobody's password, against which unknown accounts are checked, so that they take as long.
    nobody: Arc<str>,
}

impl Hasher {
    /// As many slots as workers, at most eight.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn new(workers: usize) -> Result<Self> {
        let slots = workers.clamp(1, MOST_SLOTS);
        Ok(Self {
            slots: Arc::new(Semaphore::new(slots)),
            waiting: Arc::new(AtomicUsize::new(0)),
            queue: slots * QUEUE_PER_SLOT,
            nobody: compute(&crate::secret::random_text::<16>()?)?.into(),
        })
    }

    /// The hash of a new password, in the PHC format.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait already.
    pub async fn hash(&self, password: String) -> Result<String> {
        self.on_a_slot(move || compute(&password)).await
    }

    /// Whether `password` is the one that `hash` was made from. Without a hash, since there is no such account, it
    /// takes as long and says no.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait already.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool> {
        let nobody = Arc::clone(&self.nobody);
        self.on_a_slot(move || {
            let known = hash.is_some();
            let hash = hash.as_deref().unwrap_or(&nobody);
            let parsed = PasswordHash::new(hash).map_err(|error| Error::bug(format!("a stored hash: {error}")))?;
            Ok(argon2()?.verify_password(password.as_bytes(), &parsed).is_ok() && known)
        })
        .await
    }

    /// How many passwords are being hashed or wait for it.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    async fn on_a_slot<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let _place = Place::take(&self.waiting, self.queue)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(Error::bug)?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        })
        .await
        .map_err(Error::bug)?
    }
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, queue: usize) -> Result<Self> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= queue {
            return Err(Error::unavailable(Away::Busy, "too many passwords wait to be checked"));
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn argon2() -> Result<Argon2<'static>> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| Error::bug(format!("argon2: {error}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn compute(password: &str) -> Result<String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| Error::bug(format!("no randomness: {error}")))?;
    argon2()?
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| Error::bug(format!("argon2: {error}")))
}

/// Whether a password may be chosen: 12 to 128 characters, any characters.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong, in the words of a form.
pub fn check_new(password: &str) -> Result<()> {
    match password.chars().count() {
        count if count < SHORTEST => Err(Error::Invalid(format!("Use at least {SHORTEST} characters."))),
        count if count > LONGEST => Err(Error::Invalid(format!("Use at most {LONGEST} characters."))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only_and_nobody_matches_none() {
        let hasher = Hasher::new(2).unwrap();
        let hash = hasher.hash("correct horse battery".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify("correct horse battery".into(), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify("correct horse batterx".into(), Some(hash)).await.unwrap());
        assert!(!hasher.verify("correct horse battery".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn beyond_the_queue_the_answer_is_unavailable_and_places_come_back() {
        let hasher = Hasher::new(1).unwrap();
        let held = hasher.slots.clone().acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..QUEUE_PER_SLOT)
            .map(|_| {
                tokio::spawn({
                    let hasher = hasher.clone();
                    async move { hasher.verify("x".into(), None).await }
                })
            })
            .collect();
        while hasher.waiting.load(Ordering::Relaxed) < QUEUE_PER_SLOT {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hasher.verify("x".into(), None).await, Err(Error::Unavailable(_))));
        for one in waiting {
            one.abort();
            let _ = one.await;
        }
        drop(held);
        assert!(!hasher.verify("x".into(), None).await.unwrap());
        assert_eq!(hasher.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn length_counts_characters() {
        assert!(check_new(&"é".repeat(12)).is_ok() && check_new(&"é".repeat(11)).is_err());
        assert!(check_new(&"é".repeat(128)).is_ok() && check_new(&"é".repeat(129)).is_err());
    }
}

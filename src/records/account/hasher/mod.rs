//! Hashes passwords on a few dedicated threads, which have a lower priority than the threads that answer requests. Jobs
//! wait in a bounded queue in which each client has a share. Called by
//! [`password_proof`](crate::actions::password_proof), [`new_password`](crate::actions::new_password) and the commands.
//!
//! Invariant: at most one hash per thread is computed at once, and the number of waiting jobs is bounded.

mod queue;
mod source;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use tokio::sync::oneshot;

use self::queue::Queue;
pub use self::source::Source;
use super::{
    password::{self, Memory},
    strength::{self, Lengths},
};
use crate::base::error::{Away, Error, Result};

const MOST_THREADS: usize = 8;
/// Queue length per thread: about one second of work at some 30 ms per hash.
const QUEUE_PER_THREAD: usize = 32;
/// Threads that answer requests run at 0. With a lower priority here, a flood of logins slows down only logins.
const NICENESS: i32 = 5;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Computes and verifies hashes. Cheap to clone. All clones share the threads, which end with the last clone.
#[derive(Clone)]
pub struct Hasher {
    jobs: Arc<Jobs>,
    /// The hash of a random password. Logins for unknown accounts are checked against it, so that they take as long.
    dummy_hash: Arc<str>,
    /// The lengths that new passwords may have.
    pub lengths: Lengths,
}

/// The queue, closed when the last [`Hasher`] is dropped.
struct Jobs(Arc<Queue<Job>>);

impl Drop for Jobs {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A place in the queue, given back when dropped.
pub type Place = queue::Place<Job>;

/// The result of verifying a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password matches the hash.
    pub right: bool,
    /// A new hash of the password, if it matched and the hash was outdated.
    pub new_hash: Option<String>,
}

/// A new password that may be used.
#[derive(Debug, Clone)]
pub struct ChosenPassword {
    /// Argon2id, in the PHC format.
    pub hash: String,
    /// The characters that a password needs without a second factor, if this one has fewer.
    pub needed_alone: Option<usize>,
}

impl Hasher {
    /// Starts one thread per worker, at most eight.
    ///
    /// # Errors
    /// If the operating system cannot supply random bytes or start a thread.
    pub fn new(workers: usize, lengths: Lengths) -> Result<Self> {
        let threads = workers.clamp(1, MOST_THREADS);
        let jobs = Jobs(Queue::new(threads * QUEUE_PER_THREAD));
        for _ in 0..threads {
            let queue = Arc::clone(&jobs.0);
            let thread = std::thread::Builder::new().name("passwords".to_owned());
            thread.spawn(move || work(&queue)).map_err(Error::bug)?;
        }
        let dummy_hash = password::hash(&crate::base::secret::random_text::<16>()?, &mut Memory::default())?.into();
        Ok(Self { jobs: Arc::new(jobs), dummy_hash, lengths })
    }

    /// Takes a place in the queue. Callers take it before they count the try, so that a flood causes no writes.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the queue is full, or the source has used up its share.
    pub fn place(&self, source: &Source) -> Result<Place> {
        let busy = || Error::unavailable(Away::Busy, "the password hashing queue is full");
        self.jobs.0.place(source).ok_or_else(busy)
    }

    /// Places taken: jobs that wait or run, and places without a job yet.
    pub fn waiting(&self) -> usize {
        self.jobs.0.places()
    }

    /// Hashes a new password if it is long enough and hard to guess. `about` contains words about its owner that an attacker may know.
    ///
    /// # Errors
    /// [`Error::Invalid`] with a message for a form.
    pub async fn choose(
        &self,
        place: Place,
        password: String,
        about: Vec<String>,
        has_second_factor: bool,
    ) -> Result<ChosenPassword> {
        self.lengths.check(&password, has_second_factor)?;
        let needed_alone = self.lengths.needed_alone(&password);
        let hashed = self.compute(place, move |memory| {
            strength::check_strength(&password, &about, needed_alone.is_some())?;
            password::hash(&password, memory)
        });
        hashed.await.map(|hash| ChosenPassword { hash, needed_alone })
    }

    /// Verifies a password. Without a hash, because the account does not exist, the check takes as long and fails. If
    /// `may_renew` is set and the hash is outdated, a new hash is computed too.
    ///
    /// # Errors
    /// If `hash` is not a valid hash.
    pub async fn verify(
        &self,
        place: Place,
        password: String,
        hash: Option<String>,
        may_renew: bool,
    ) -> Result<Verified> {
        let dummy_hash = Arc::clone(&self.dummy_hash);
        self.compute(place, move |memory| {
            let checked = password::verify(&password, hash.as_deref().unwrap_or(&dummy_hash), memory)?;
            let right = checked.right && hash.is_some();
            // Rehash in the same place, so that a correct login cannot fail because the queue is full.
            let new_hash =
                (right && may_renew && checked.outdated).then(|| password::hash(&password, memory)).transpose()?;
            Ok(Verified { right, new_hash })
        })
        .await
    }

    async fn compute<T, Work>(&self, place: Place, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: FnOnce(&mut Memory) -> Result<T> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let source = place.source().clone();
        let job: Job = Box::new(move |memory| {
            // Skip the work if the request was dropped.
            if !reply.is_closed() {
                let done = work(memory);
                // Free the place before the reply, so that the receiver can take it again.
                drop(place);
                let _ = reply.send(done);
            }
        });
        self.jobs.0.put(&source, job);
        result.await.map_err(|_| Error::bug("a password hashing job was dropped or panicked"))?
    }
}

/// The loop of each thread. Ends when the last [`Hasher`] is dropped.
fn work(queue: &Queue<Job>) {
    // On Linux, this sets the priority of the thread, not of the process (setpriority(2), "Bugs").
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "lowering the priority of a password hashing thread failed");
    }
    let mut memory = Memory::default();
    while let Some(job) = queue.next() {
        // A panic drops the reply, which fails only its own request. The thread continues.
        drop(panic::catch_unwind(AssertUnwindSafe(|| job(&mut memory))));
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::mpsc;

    use super::*;
    use crate::records::throttle::{Network, Subject};

    fn from(ip: &str) -> Source {
        let ip: IpAddr = ip.parse().unwrap();
        Source::Client(Subject::address(&Network::new(Some(ip), |name| Ok(name.to_owned())).unwrap()))
    }

    #[tokio::test]
    async fn nobodys_password_is_never_right() {
        let hasher = Hasher::new(2, Lengths::new(12)).unwrap();
        let place = || hasher.place(&Source::Command).unwrap();
        let hash = hasher.choose(place(), "correct horse battery".into(), vec![], false).await.unwrap().hash;
        let verify = async |hash| hasher.verify(place(), "correct horse battery".into(), hash, true).await;
        assert!(verify(Some(hash)).await.unwrap().right);
        assert!(!verify(None).await.unwrap().right);
    }

    #[tokio::test]
    async fn one_source_gets_half_of_the_queue_and_places_are_freed() {
        let hasher = Hasher::new(1, Lengths::new(12)).unwrap();
        let (flood, other) = (from("192.0.2.1"), from("198.51.100.1"));
        let held: Vec<Place> = (0..QUEUE_PER_THREAD / 2).map(|_| hasher.place(&flood).unwrap()).collect();
        assert!(matches!(hasher.place(&flood), Err(Error::Unavailable(_))));
        let one = hasher.place(&other).unwrap();
        assert_eq!(hasher.waiting(), QUEUE_PER_THREAD / 2 + 1);
        drop((held, one));
        assert_eq!(hasher.waiting(), 0);
        assert!(!hasher.verify(hasher.place(&flood).unwrap(), "x".into(), None, true).await.unwrap().right);
    }

    #[tokio::test]
    async fn a_full_queue_gives_no_place() {
        let hasher = Hasher::new(1, Lengths::new(12)).unwrap();
        let mut held = Vec::new();
        for n in 0..QUEUE_PER_THREAD {
            held.push(hasher.place(&from(&format!("192.0.2.{n}"))).unwrap());
        }
        assert!(matches!(hasher.place(&from("198.51.100.1")), Err(Error::Unavailable(_))));
        held.pop();
        assert!(hasher.place(&from("198.51.100.1")).is_ok());
    }

    #[tokio::test]
    async fn sources_are_served_in_turn() {
        let hasher = Hasher::new(1, Lengths::new(12)).unwrap();
        let (resume, paused) = mpsc::channel::<()>();
        let (flood, other) = (from("192.0.2.1"), from("198.51.100.1"));
        let (done, order) = mpsc::channel();
        let first = hasher.compute(hasher.place(&flood).unwrap(), move |_| paused.recv().map_err(Error::bug));
        let job = |source: &Source, name: &'static str| {
            let done = done.clone();
            hasher.compute(hasher.place(source).unwrap(), move |_| done.send(name).map_err(Error::bug))
        };
        let later = [job(&flood, "flood"), job(&flood, "flood"), job(&flood, "flood"), job(&other, "other")];
        // All jobs are in the queue before the first job continues.
        let all = futures_util::future::join_all(later);
        let release = async { resume.send(()).map_err(Error::bug) };
        let (first, all, released) = tokio::join!(first, all, release);
        first.unwrap();
        released.unwrap();
        all.into_iter().for_each(|one| one.unwrap());
        let served: Vec<&str> = order.try_iter().collect();
        assert!(served[..2].contains(&"other"), "{served:?}");
    }

    #[tokio::test]
    async fn threads_end_with_the_last_hasher() {
        let hasher = Hasher::new(2, Lengths::new(12)).unwrap();
        let queue = Arc::downgrade(&hasher.jobs.0);
        drop(hasher);
        while queue.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_weak_password_is_refused() {
        let hasher = Hasher::new(1, Lengths::new(12)).unwrap();
        let place = || hasher.place(&Source::Command).unwrap();
        assert!(matches!(hasher.choose(place(), "password1234".into(), vec![], false).await, Err(Error::Invalid(_))));
        assert!(matches!(hasher.choose(place(), "short".into(), vec![], true).await, Err(Error::Invalid(_))));
    }
}

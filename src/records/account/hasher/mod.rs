//! Where passwords are hashed: on a few threads of their own, at a lower priority than those that answer requests, with
//! a bounded queue before them in which each client's network has a share. Called by
//! [`proof`](crate::actions::password_proof), by [`choice`](super::choice), and by the commands.
//!
//! Invariant: however many sign in at once, as many hashes are computed as there are threads, and a bounded number
//! waits.

mod queue;
mod source;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use tokio::sync::oneshot;

use self::queue::Queue;
pub use self::source::Source;
use super::{
    password::{self, Memory},
    strength,
};
use crate::base::error::{Away, Error, Result};

const MOST_THREADS: usize = 8;
/// How many may wait for each thread: at some 30 ms a hash, about a second.
const QUEUE_PER_THREAD: usize = 32;
/// Below those that answer requests, which are at 0: a flood of logins slows down logins.
const NICENESS: i32 = 5;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Computes and checks hashes. Cheap to clone; all clones share the threads, which end with the last of them.
#[derive(Clone)]
pub struct Hasher {
    jobs: Arc<Jobs>,
    /// The hash of nobody's password, against which unknown accounts are checked, so that they take as long.
    nobody: Arc<str>,
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

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password is the one that the hash was made from.
    pub right: bool,
    /// If it is, and the hash was made with weaker parameters than today's: one made with today's.
    pub new_hash: Option<String>,
}

impl Hasher {
    /// As many threads as workers, at most eight.
    ///
    /// # Errors
    /// When the operating system has no randomness or no threads to give.
    pub fn new(workers: usize) -> Result<Self> {
        let threads = workers.clamp(1, MOST_THREADS);
        let jobs = Jobs(Queue::new(threads * QUEUE_PER_THREAD));
        for _ in 0..threads {
            let queue = Arc::clone(&jobs.0);
            let thread = std::thread::Builder::new().name("passwords".to_owned());
            thread.spawn(move || work(&queue)).map_err(Error::bug)?;
        }
        let nobody = password::hash(&crate::base::secret::random_text::<16>()?, &mut Memory::default())?.into();
        Ok(Self { jobs: Arc::new(jobs), nobody })
    }

    /// A place in the queue: to be had before the count of a try is written, so that a flood writes nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait already, or too many from this source.
    pub fn place(&self, source: &Source) -> Result<Place> {
        let busy = || Error::unavailable(Away::Busy, "too many passwords wait to be hashed");
        self.jobs.0.place(source).ok_or_else(busy)
    }

    /// How many wait or are being computed.
    pub fn waiting(&self) -> usize {
        self.jobs.0.places()
    }

    /// The hash of a password that somebody chooses, if it is hard to guess for who knows these words about them.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong with it, in the words of a form.
    pub async fn choose(&self, place: Place, password: String, about: Vec<String>) -> Result<String> {
        strength::check_length(&password)?;
        self.compute(place, move |memory| {
            strength::check_strength(&password, &about)?;
            password::hash(&password, memory)
        })
        .await
    }

    /// Whether `password` is the one that `hash` was made from. Without a hash, since there is no such account, it
    /// takes as long and says no. One that is outdated is made again only if it `may_renew`.
    ///
    /// # Errors
    /// When the hash is none.
    pub async fn verify(
        &self,
        place: Place,
        password: String,
        hash: Option<String>,
        may_renew: bool,
    ) -> Result<Verified> {
        let nobody = Arc::clone(&self.nobody);
        self.compute(place, move |memory| {
            let checked = password::verify(&password, hash.as_deref().unwrap_or(&nobody), memory)?;
            let right = checked.right && hash.is_some();
            // In the same place: whoever was let in is not turned away because a second place is not free.
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
            // The asker may be gone.
            if !reply.is_closed() {
                let done = work(memory);
                // Whoever hears of the result finds the place free.
                drop(place);
                let _ = reply.send(done);
            }
        });
        self.jobs.0.put(&source, job);
        result.await.map_err(|_| Error::bug("the thread that hashed a password is gone"))?
    }
}

/// What each thread does until the last [`Hasher`] is dropped.
fn work(queue: &Queue<Job>) {
    // On Linux this is the thread's own (setpriority(2), "Bugs").
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "passwords are hashed at the priority of requests");
    }
    let mut memory = Memory::default();
    while let Some(job) = queue.next() {
        // A panic answers its own request with an error, and leaves the thread to the others.
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
        let hasher = Hasher::new(2).unwrap();
        let place = || hasher.place(&Source::Command).unwrap();
        let hash = hasher.choose(place(), "correct horse battery".into(), vec![]).await.unwrap();
        let verify = async |hash| hasher.verify(place(), "correct horse battery".into(), hash, true).await;
        assert!(verify(Some(hash)).await.unwrap().right);
        assert!(!verify(None).await.unwrap().right);
    }

    #[tokio::test]
    async fn one_source_gets_half_of_the_queue_and_places_come_back() {
        let hasher = Hasher::new(1).unwrap();
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
    async fn beyond_the_queue_nobody_gets_a_place() {
        let hasher = Hasher::new(1).unwrap();
        let mut held = Vec::new();
        for n in 0..QUEUE_PER_THREAD {
            held.push(hasher.place(&from(&format!("192.0.2.{n}"))).unwrap());
        }
        assert!(matches!(hasher.place(&from("198.51.100.1")), Err(Error::Unavailable(_))));
        held.pop();
        assert!(hasher.place(&from("198.51.100.1")).is_ok());
    }

    #[tokio::test]
    async fn sources_are_served_in_turns() {
        let hasher = Hasher::new(1).unwrap();
        let (go_on, held) = mpsc::channel::<()>();
        let (flood, other) = (from("192.0.2.1"), from("198.51.100.1"));
        let (done, order) = mpsc::channel();
        let first = hasher.compute(hasher.place(&flood).unwrap(), move |_| held.recv().map_err(Error::bug));
        let job = |source: &Source, name: &'static str| {
            let done = done.clone();
            hasher.compute(hasher.place(source).unwrap(), move |_| done.send(name).map_err(Error::bug))
        };
        let later = [job(&flood, "flood"), job(&flood, "flood"), job(&flood, "flood"), job(&other, "other")];
        // All are in the queue before the first one is let go on.
        let all = futures_util::future::join_all(later);
        let release = async { go_on.send(()).map_err(Error::bug) };
        let (first, all, released) = tokio::join!(first, all, release);
        first.unwrap();
        released.unwrap();
        all.into_iter().for_each(|one| one.unwrap());
        let served: Vec<&str> = order.try_iter().collect();
        assert!(served[..2].contains(&"other"), "{served:?}");
    }

    #[tokio::test]
    async fn threads_end_with_the_last_hasher() {
        let hasher = Hasher::new(2).unwrap();
        let queue = Arc::downgrade(&hasher.jobs.0);
        drop(hasher);
        while queue.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_weak_password_is_no_hash() {
        let hasher = Hasher::new(1).unwrap();
        let place = || hasher.place(&Source::Command).unwrap();
        assert!(matches!(hasher.choose(place(), "password1234".into(), vec![]).await, Err(Error::Invalid(_))));
        assert!(matches!(hasher.choose(place(), "short".into(), vec![]).await, Err(Error::Invalid(_))));
    }
}

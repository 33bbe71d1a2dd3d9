//! Where passwords are hashed: on a few threads of their own, at a lower priority than those that answer requests, with a
//! bounded queue before them. Called by [`proof`](super::proof), by whatever makes an account, and by the commands.
//!
//! Invariant: however many sign in at once, as many hashes are computed as there are threads, and a bounded number waits.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
    mpsc::{self, Receiver, Sender},
};

use tokio::sync::oneshot;

use super::{
    password::{self, Memory, Verified},
    strength,
};
use crate::error::{Away, Error, Result};

const MOST_THREADS: usize = 8;
/// How many may wait for each thread: at some 30 ms a hash, about a second.
const QUEUE_PER_THREAD: usize = 32;
/// Below those that answer requests, which are at 0: a flood of logins slows down logins.
const NICENESS: i32 = 5;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Computes and checks hashes. Cheap to clone; all clones share the threads, which end with the last of them.
#[derive(Clone)]
pub struct Hasher {
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
    most: usize,
    /// The hash of nobody's password, against which unknown accounts are checked, so that they take as long.
    nobody: Arc<str>,
}

/// A place in the queue, given back when dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hasher {
    /// As many threads as workers, at most eight.
    ///
    /// # Errors
    /// When the operating system has no randomness or no threads to give.
    pub fn new(workers: usize) -> Result<Self> {
        let threads = workers.clamp(1, MOST_THREADS);
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name("passwords".to_owned());
            thread.spawn(move || work(&queue)).map_err(Error::bug)?;
        }
        let nobody = password::hash(&crate::secret::random_text::<16>()?, &mut Memory::default())?.into();
        Ok(Self { jobs, waiting: Arc::new(AtomicUsize::new(0)), most: threads * QUEUE_PER_THREAD, nobody })
    }

    /// A place in the queue: to be had before anything else is done for a password, so that a flood costs nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait already.
    pub fn place(&self) -> Result<Place> {
        let place = Place(Arc::clone(&self.waiting));
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.most {
            return Err(Error::unavailable(Away::Busy, "too many passwords wait to be checked"));
        }
        Ok(place)
    }

    /// How many wait or are being computed.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The hash of a password that somebody chooses, if it is hard to guess for who knows these words about them.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong with it, in the words of a form; [`Error::Unavailable`] when too many wait.
    pub async fn choose(&self, password: String, about: Vec<String>) -> Result<String> {
        strength::check_length(&password)?;
        let place = self.place()?;
        self.compute(place, move |memory| {
            strength::check_strength(&password, &about)?;
            password::hash(&password, memory)
        })
        .await
    }

    /// The hash of a password that is right, to replace an outdated one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait already.
    pub async fn hash_again(&self, password: String) -> Result<String> {
        let place = self.place()?;
        self.compute(place, move |memory| password::hash(&password, memory)).await
    }

    /// Whether `password` is the one that `hash` was made from. Without a hash, since there is no such account, it
    /// takes as long and says no.
    ///
    /// # Errors
    /// When the hash is none.
    pub async fn verify(&self, place: Place, password: String, hash: Option<String>) -> Result<Verified> {
        let nobody = Arc::clone(&self.nobody);
        self.compute(place, move |memory| match hash {
            Some(hash) => password::verify(&password, &hash, memory),
            None => password::verify(&password, &nobody, memory).map(|_| Verified { right: false, outdated: false }),
        })
        .await
    }

    async fn compute<T, Work>(&self, place: Place, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: FnOnce(&mut Memory) -> Result<T> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            // Nobody may wait for it any more.
            if !reply.is_closed() {
                let done = work(memory);
                // Whoever hears of it finds the place free.
                drop(place);
                let _ = reply.send(done);
            }
        });
        self.jobs.send(job).map_err(|_| Error::bug("no thread is left to hash passwords"))?;
        result.await.map_err(|_| Error::bug("the thread that hashed a password is gone"))?
    }
}

/// What each thread does until nobody has a [`Hasher`] any more.
fn work(queue: &Mutex<Receiver<Job>>) {
    // On Linux this is the thread's own (setpriority(2), "Bugs").
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "passwords are hashed at the priority of requests");
    }
    let mut memory = Memory::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            // What panics answers its own request with an error, and leaves the thread to the others.
            Ok(job) => drop(panic::catch_unwind(AssertUnwindSafe(|| job(&mut memory)))),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobodys_password_is_never_right() {
        let hasher = Hasher::new(2).unwrap();
        let hash = hasher.choose("correct horse battery".into(), vec![]).await.unwrap();
        let verify = async |hash| hasher.verify(hasher.place().unwrap(), "correct horse battery".into(), hash).await;
        assert!(verify(Some(hash)).await.unwrap().right);
        assert!(!verify(None).await.unwrap().right);
    }

    #[tokio::test]
    async fn beyond_the_queue_the_answer_is_unavailable_and_places_come_back() {
        let hasher = Hasher::new(1).unwrap();
        let (go_on, held) = mpsc::channel::<()>();
        let job = hasher.compute(hasher.place().unwrap(), move |_| held.recv().map_err(Error::bug));
        let waiting: Vec<_> =
            (1..QUEUE_PER_THREAD).map(|_| hasher.verify(hasher.place().unwrap(), "x".into(), None)).collect();
        assert_eq!(hasher.waiting(), QUEUE_PER_THREAD);
        assert!(matches!(hasher.place(), Err(Error::Unavailable(_))));
        assert!(matches!(hasher.choose("tide pool limpet 7".into(), vec![]).await, Err(Error::Unavailable(_))));
        drop(waiting);
        go_on.send(()).unwrap();
        job.await.unwrap();
        assert!(!hasher.verify(hasher.place().unwrap(), "x".into(), None).await.unwrap().right);
        assert_eq!(hasher.waiting(), 0);
    }

    #[tokio::test]
    async fn a_weak_password_is_no_hash() {
        let hasher = Hasher::new(1).unwrap();
        assert!(matches!(hasher.choose("password1234".into(), vec![]).await, Err(Error::Invalid(_))));
        assert!(matches!(hasher.choose("short".into(), vec![]).await, Err(Error::Invalid(_))));
    }
}

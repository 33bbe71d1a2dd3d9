//! The bounded queue of hashing jobs. Each source has a share, and sources are served in turn. Used only by the parent
//! module.
//!
//! Invariant: a source that fills its share takes no place from the others. Between two jobs of a source, at most one
//! job of each other source is served.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::source::Source;

/// Jobs by source. A caller takes a [`Place`] first and puts its job there later.
pub(super) struct Queue<Job> {
    state: Mutex<Lanes<Job>>,
    ready: Condvar,
    most: usize,
}

struct Lanes<Job> {
    lanes: HashMap<Source, Lane<Job>>,
    /// Sources with jobs, in the order in which they are served.
    turns: VecDeque<Source>,
    /// Places taken in all lanes.
    places: usize,
    closed: bool,
}

struct Lane<Job> {
    /// Places taken, including those of running jobs.
    places: usize,
    jobs: VecDeque<Job>,
}

/// A place in the queue, given back when dropped.
pub struct Place<Job> {
    queue: Arc<Queue<Job>>,
    source: Source,
}

impl<Job> Queue<Job> {
    /// A queue with `most` places.
    pub fn new(most: usize) -> Arc<Self> {
        let state = Lanes { lanes: HashMap::new(), turns: VecDeque::new(), places: 0, closed: false };
        Arc::new(Self { state: Mutex::new(state), ready: Condvar::new(), most })
    }

    /// Takes a place. `None` if the queue is full, or the source has used up its share. The second half of the queue is
    /// reserved for sources with less than an eighth of all places, so that no single source can fill it.
    pub fn place(self: &Arc<Self>, source: &Source) -> Option<Place<Job>> {
        let mut state = self.lock();
        let taken = state.lanes.get(source).map_or(0, |lane| lane.places);
        let room = if taken < self.most / 8 { self.most } else { self.most / 2 };
        if state.places >= room {
            return None;
        }
        state.places += 1;
        let lane = state.lanes.entry(source.clone());
        lane.or_insert_with(|| Lane { places: 0, jobs: VecDeque::new() }).places += 1;
        Some(Place { queue: Arc::clone(self), source: source.clone() })
    }

    /// Adds a job to the lane of its source. The job must own a [`Place`] of that source until it is done.
    pub fn put(&self, source: &Source, job: Job) {
        let mut state = self.lock();
        if let Some(lane) = state.lanes.get_mut(source) {
            lane.jobs.push_back(job);
            if lane.jobs.len() == 1 {
                state.turns.push_back(source.clone());
            }
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Places taken.
    pub fn places(&self) -> usize {
        self.lock().places
    }

    /// Waits for the next job and takes it from the source whose turn it is. `None` if the queue is closed and empty.
    pub fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.take_turn() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes [`next`](Self::next) return `None` once the queue is empty.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Lanes<Job>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Job> Lanes<Job> {
    fn take_turn(&mut self) -> Option<Job> {
        let source = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&source)?;
        let job = lane.jobs.pop_front();
        if !lane.jobs.is_empty() {
            self.turns.push_back(source);
        }
        job
    }
}

impl<Job> Place<Job> {
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl<Job> Drop for Place<Job> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.places -= 1;
        if let Some(lane) = state.lanes.get_mut(&self.source) {
            lane.places -= 1;
            if lane.places == 0 {
                state.lanes.remove(&self.source);
            }
        }
    }
}

//! The queue before the threads that hash: bounded, with a share for each source, and served in turns. Used by the
//! parent alone.
//!
//! Invariant: a source that fills its share takes no place from another, and a source waits for at most one job of each
//! other source before its own next one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::source::Source;

/// Jobs, and the places that they will be put in.
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
    /// Places taken, jobs that are running included.
    places: usize,
    jobs: VecDeque<Job>,
}

/// A place in the queue, given back when dropped.
pub struct Place<Job> {
    queue: Arc<Queue<Job>>,
    source: Source,
}

impl<Job> Queue<Job> {
    /// A queue with so many places.
    pub fn new(most: usize) -> Arc<Self> {
        let state = Lanes { lanes: HashMap::new(), turns: VecDeque::new(), places: 0, closed: false };
        Arc::new(Self { state: Mutex::new(state), ready: Condvar::new(), most })
    }

    /// A place, unless the source has its share. The second half of the queue is kept for sources that have less than
    /// an eighth of it, so that no single source can fill it.
    pub fn place(self: &Arc<Self>, source: &Source) -> Option<Place<Job>> {
        let mut state = self.lock();
        let held = state.lanes.get(source).map_or(0, |lane| lane.places);
        let room = if held < self.most / 8 { self.most } else { self.most / 2 };
        if state.places >= room {
            return None;
        }
        state.places += 1;
        let lane = state.lanes.entry(source.clone());
        lane.or_insert_with(|| Lane { places: 0, jobs: VecDeque::new() }).places += 1;
        Some(Place { queue: Arc::clone(self), source: source.clone() })
    }

    /// Puts a job in the lane of its source. The job holds a place of that source until it is done.
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

    /// The next job, of the source whose turn it is; waits for one. `None` when the queue is closed and empty.
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

    /// No job will follow.
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
    /// Whose place it is.
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

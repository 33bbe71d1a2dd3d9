//! The latest ends of the sessions that opened one app, read from the database once for all streams to its server.
//!
//! The ends are read from the sessions' rows, by the time of the end. A transaction may commit an end a while after that
//! time, so reads go back: each read a little, and a read every [`FULL_INTERVAL`] as far as `overlap`.
//!
//! Invariant: an end that was committed within `overlap` of its time gets a number, once, in the order in which the ends
//! were found.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant as Stopwatch;

use crate::{
    base::{
        db::{Conn, Instant},
        error::Result,
        outage::Outage,
    },
    records::session::{
        Sessions,
        grants::feed::{self, EndedAtApp, Place},
    },
};

/// The shortest time between two reads.
const READ_INTERVAL: Duration = Duration::from_millis(200);
/// How long to wait before a failed read is retried.
const RETRY: Duration = Duration::from_secs(1);
/// How far back each read goes.
const USUAL_OVERLAP: Duration = Duration::from_secs(30);
/// How often a read goes back as far as `overlap`.
const FULL_INTERVAL: Duration = Duration::from_secs(15);
/// A database clock that was set back by less counts as inexact.
const INEXACT: Duration = Duration::from_secs(10);
/// The ends that are kept for streams that lag behind. Others read them from the database.
const MOST_KEPT: usize = 2_000;
/// The most ends in one read.
pub const PORTION: i64 = 500;

/// The latest ends. Shared by the streams of an app on this node.
#[derive(Debug)]
pub struct Tail {
    overlap: Duration,
    /// The time up to which everything that had been committed was found.
    reached: Instant,
    /// Incremented when the numbers before mean nothing any more.
    epoch: u64,
    kept: VecDeque<EndedAtApp>,
    /// The number of the oldest end that is kept.
    first: u64,
    /// What was found, as far back as reads go.
    seen: BTreeSet<(Instant, String)>,
    /// Whether `seen` goes back as far as `overlap`.
    is_filled: bool,
    read_at: Option<Stopwatch>,
    next_read: Stopwatch,
    next_full: Stopwatch,
    outage: Outage,
}

/// A place in the tail: everything before it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    epoch: u64,
    number: u64,
    /// The time up to which everything that had been committed lies before this place.
    pub reached: Instant,
}

/// What a stream has to tell.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    Ended(Vec<EndedAtApp>),
    /// The stream is so far behind that it must read the database itself.
    TooFarBehind,
    /// The database's clock was set back, so ends may be missing.
    Reset,
}

impl Tail {
    /// `overlap` is the longest time that may pass between the time of an end and its commit.
    pub fn new(overlap: Duration) -> Self {
        let now = Stopwatch::now();
        Self {
            overlap,
            reached: Instant::from_micros(0),
            epoch: 0,
            kept: VecDeque::new(),
            first: 0,
            seen: BTreeSet::new(),
            is_filled: false,
            read_at: None,
            next_read: now,
            next_full: now,
            outage: Outage::new("reading ended sessions for apps"),
        }
    }

    /// Whether everything that was committed before `due` was found. Reads the database if it is time.
    pub async fn is_read_since(&mut self, due: Stopwatch, sessions: &Sessions, app_id: &str) -> bool {
        let now = Stopwatch::now();
        if self.read_at.is_some_and(|at| at >= due) {
            return true;
        }
        if now < self.next_read {
            return false;
        }
        let result = self.read(sessions, app_id).await;
        let is_read = self.outage.see(result).is_some();
        self.next_read = Stopwatch::now() + if is_read { READ_INTERVAL } else { RETRY };
        if is_read {
            self.read_at = Some(now);
        }
        is_read
    }

    pub fn next_read(&self) -> Stopwatch {
        self.next_read
    }

    pub fn end(&self) -> Position {
        let number = self.first + self.kept.len() as u64;
        Position { epoch: self.epoch, number, reached: self.reached }
    }

    /// What was found after this place.
    pub fn after(&self, place: Position) -> News {
        if place.epoch != self.epoch {
            return News::Reset;
        }
        match place.number.checked_sub(self.first).map(usize::try_from) {
            Some(Ok(told)) => News::Ended(self.kept.iter().skip(told).cloned().collect()),
            _ => News::TooFarBehind,
        }
    }

    async fn read(&mut self, sessions: &Sessions, app_id: &str) -> Result<()> {
        let (now, started) = (sessions.clock.now(), Stopwatch::now());
        self.meet_time(now);
        let is_full = !self.is_filled || started >= self.next_full;
        let back = if is_full { self.overlap } else { USUAL_OVERLAP.min(self.overlap) };
        let mut place: Place = (self.reached.minus(back), String::new(), String::new());
        loop {
            let portion = portion(sessions, app_id, place.clone()).await?;
            let is_last = portion.is_last;
            portion.ends.into_iter().for_each(|ended| {
                place = ended.place();
                self.note(ended);
            });
            if is_last {
                break;
            }
        }
        self.reached = self.reached.max(now);
        self.seen = self.seen.split_off(&(self.reached.minus(self.overlap), String::new()));
        if is_full {
            (self.is_filled, self.next_full) = (true, started + FULL_INTERVAL);
        }
        Ok(())
    }

    /// Begins again at the first read, and after the database's clock was set back: later ends have earlier times than
    /// those already found.
    fn meet_time(&mut self, now: Instant) {
        let is_back = self.reached.since(now) > INEXACT;
        if is_back {
            self.first += self.kept.len() as u64;
            self.kept.clear();
            self.seen.clear();
            (self.epoch, self.is_filled) = (self.epoch + 1, false);
        }
        if is_back || !self.is_filled {
            self.reached = now;
        }
    }

    fn note(&mut self, ended: EndedAtApp) {
        // What had ended before the tail began is not told: a new stream's client asks what lives.
        if self.seen.insert((ended.at, ended.sid.clone())) && self.is_filled {
            self.kept.push_back(ended);
            if self.kept.len() > MOST_KEPT {
                self.kept.pop_front();
                self.first += 1;
            }
        }
    }
}

/// Some ends, in the order of [`Place`].
pub struct Portion {
    pub ends: Vec<EndedAtApp>,
    pub is_last: bool,
}

/// The next ends after `place`.
pub async fn portion(sessions: &Sessions, app_id: &str, place: Place) -> Result<Portion> {
    let app_id = app_id.to_owned();
    let reading = async move |conn: &mut Conn<'_>| feed::ended(conn, &app_id, &place, PORTION).await;
    let ends = sessions.db.read(reading).await?;
    let is_last = ends.len() < usize::try_from(PORTION).unwrap_or(usize::MAX);
    Ok(Portion { ends, is_last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::session::EndReason;

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn ended(seconds: i64, sid: &str) -> EndedAtApp {
        EndedAtApp {
            at: at(seconds),
            sid: sid.to_owned(),
            account_id: "acc_1".to_owned(),
            reason: EndReason::LoggedOut,
        }
    }

    fn tail_at(seconds: i64) -> Tail {
        let mut tail = Tail::new(Duration::from_secs(300));
        tail.meet_time(at(seconds));
        tail.is_filled = true;
        tail
    }

    #[test]
    fn an_end_is_told_once_and_only_after_the_place() {
        let mut tail = tail_at(1_000);
        let place = tail.end();
        tail.note(ended(1_001, "a"));
        tail.note(ended(1_001, "a"));
        assert_eq!(tail.after(place), News::Ended(vec![ended(1_001, "a")]));
        assert_eq!(tail.after(tail.end()), News::Ended(Vec::new()));
    }

    #[test]
    fn a_database_clock_that_was_set_back_begins_anew() {
        let mut tail = tail_at(1_000);
        let place = tail.end();
        tail.meet_time(at(995));
        assert_eq!((tail.after(place), tail.end().reached), (News::Ended(Vec::new()), at(1_000)));
        tail.meet_time(at(900));
        assert_eq!((tail.after(place), tail.end().reached), (News::Reset, at(900)));
        tail.is_filled = true;
        let place = tail.end();
        tail.note(ended(901, "a"));
        assert_eq!(tail.after(place), News::Ended(vec![ended(901, "a")]));
    }

    #[test]
    fn a_stream_that_is_too_far_behind_reads_for_itself() {
        let mut tail = tail_at(1_000);
        let place = tail.end();
        (0..=i64::try_from(MOST_KEPT).unwrap()).for_each(|n| tail.note(ended(1_000 + n, "a")));
        assert_eq!(tail.after(place), News::TooFarBehind);
    }
}

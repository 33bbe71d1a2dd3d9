//! The log of a storm: every request with its answer, start and end time, so that "later" means real time. The browsers
//! write it, the fault waits for entries, and the rules judge it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Answer;

pub const COOKIE: &str = "aiq_session";
/// Longer than anything takes here on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A session, as its browser knows it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    pub id: String,
    pub cookie: String,
}

/// A request and its answer. Times count from the beginning of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    pub asked: Asked,
    /// The session whose cookie was sent.
    pub with: Option<Arc<Session>>,
    pub started: Duration,
    pub ended: Duration,
    pub said: Said,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Login,
    Look,
    Data,
    Change(u64),
    Logout,
    Health,
}

/// The meaning of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A login has begun this session.
    Begun(Arc<Session>),
    /// A login's answer was lost, and the old key has fetched the new key: the session continues under this id.
    Moved(Arc<Session>),
    /// The change was made, or the session lives.
    Done,
    /// The session lives, and its `n` has this value.
    Holds(Option<u64>),
    /// A 401: the session has ended.
    Ended,
    /// A 503 or a timeout: the change may have been made or not.
    Away,
    /// The connection failed or broke: the change may have been made or not.
    Silence,
    /// An answer that no fault allows: a 500, a failure that sets a cookie, or data of another session.
    Wrong(String),
}

/// The log of a storm.
pub struct Log {
    zero: Instant,
    entries: Mutex<Vec<Entry>>,
    more: Condvar,
}

impl Log {
    pub fn new() -> Self {
        Self { zero: Instant::now(), entries: Mutex::default(), more: Condvar::new() }
    }

    /// The current time on the log's clock.
    pub fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    pub fn write(&self, entry: Entry) {
        self.lock().push(entry);
        self.more.notify_all();
    }

    /// All entries so far, in the order in which they ended.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// Waits for `many` more entries that satisfy `such` and returns the last of them.
    pub fn wait_for(&self, many: usize, what: &str, such: impl Fn(&Entry) -> bool) -> Entry {
        let give_up = Instant::now() + PATIENCE;
        let mut entries = self.lock();
        let (mut at, mut left, mut came) = (entries.len(), many, 0);
        loop {
            while at < entries.len() {
                let entry = &entries[at];
                assert!(!matches!(entry.said, Said::Wrong(_)), "{entry:?}");
                at += 1;
                came += 1;
                left -= usize::from(such(entry));
                if left == 0 {
                    return entry.clone();
                }
            }
            let (more, _) = self.more.wait_timeout(entries, Duration::from_secs(1)).unwrap();
            entries = more;
            let (now, all) = (Instant::now(), entries.len());
            assert!(now < give_up, "{left} of {many} {what} did not come, but {}", tally(&entries[all - came..]));
        }
    }

    /// Waits for `many` more successful requests.
    pub fn wait_for_success(&self, many: usize) {
        self.wait_for(many, "successes", |entry| entry.is_success());
    }

    /// Waits for `many` more acknowledged changes.
    pub fn wait_for_changes(&self, many: usize) {
        self.wait_for(many, "changes", Entry::is_written);
    }

    /// Waits for `many` more answers with 503.
    pub fn wait_for_away(&self, many: usize) {
        self.wait_for(many, "answers of 503", |entry| entry.said == Said::Away);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often each request got each answer, in one line.
fn tally(entries: &[Entry]) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for Entry { asked, said, .. } in entries {
        let (asked, said) = (format!("{asked:?}"), format!("{said:?}"));
        let word = |text: &str| text.split('(').next().unwrap_or_default().to_owned();
        *counts.entry(format!("{} {}", word(&asked), word(&said))).or_default() += 1;
    }
    let slowest = entries.iter().max_by_key(|entry| entry.took());
    format!("{counts:?}; the slowest: {slowest:?}")
}

impl Entry {
    /// Whether the answer needed the database and succeeded.
    pub fn is_success(&self) -> bool {
        self.asked != Asked::Health && matches!(self.said, Said::Begun(_) | Said::Done | Said::Holds(_))
    }

    /// Whether the answer acknowledged a change.
    pub fn is_written(&self) -> bool {
        self.is_success() && matches!(self.asked, Asked::Login | Asked::Change(_) | Asked::Logout)
    }

    pub fn took(&self) -> Duration {
        self.ended.saturating_sub(self.started)
    }
}

impl Said {
    /// Interprets an answer. `Said::Wrong` reports what a failure must never do.
    pub fn read(asked: Asked, with: Option<&Session>, answer: &Answer) -> Self {
        let wrong = |why: &str| Self::Wrong(format!("{why}: {asked:?}: {answer:?}"));
        let cookie = answer.sets(COOKIE);
        if !(200..300).contains(&answer.status) && cookie.is_some() {
            return wrong("a failure touched the cookie");
        }
        if answer.status == 200
            && matches!(asked, Asked::Look | Asked::Data | Asked::Change(_))
            && let Some(moved) = moved(asked, with, answer)
        {
            return moved;
        }
        match (answer.status, asked) {
            (503, Asked::Health) => wrong("not alive"),
            (503, _) if retry_after(answer) == 0 => wrong("no word when to try again"),
            (503, _) => Self::Away,
            // Tries that were cut off by a kill count as wrong passwords for a minute.
            (429, Asked::Login) if retry_after(answer) > 0 => Self::Away,
            (200, Asked::Health) | (204, Asked::Logout) => Self::Done,
            (200, Asked::Login) => begun(answer).unwrap_or_else(|| wrong("no session in it")),
            (200, Asked::Look) if answer.json()["session"]["id"].as_str() != with.map(|one| one.id.as_str()) => {
                wrong("another's session")
            }
            (200, _) if cookie.is_some_and(|cookie| Some(value(cookie)) != with.map(|one| one.cookie.as_str())) => {
                wrong("another cookie")
            }
            (200, Asked::Look) => Self::Done,
            (200, Asked::Change(n)) if answer.json()["n"] == n => Self::Done,
            (200, Asked::Data) => Self::Holds(answer.json()["n"].as_u64()),
            (401, Asked::Look | Asked::Data | Asked::Change(_) | Asked::Logout) if is_ended(answer) => Self::Ended,
            _ => wrong("what no fault explains"),
        }
    }
}

fn retry_after(answer: &Answer) -> u32 {
    answer.header("retry-after").and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

fn begun(answer: &Answer) -> Option<Said> {
    let id = answer.json()["session"]["id"].as_str()?.to_owned();
    let cookie = value(answer.sets(COOKIE)?).to_owned();
    Some(Said::Begun(Arc::new(Session { id, cookie })))
}

/// The session whose key an answer brings, if it is another session than the request's.
fn moved(asked: Asked, with: Option<&Session>, answer: &Answer) -> Option<Said> {
    let (cookie, with) = (value(answer.sets(COOKIE)?), with?);
    let id = cookie[cookie.find("aiq_")?..].split('.').next()?.to_owned();
    let speaks_of_it = asked != Asked::Look || answer.json()["session"]["id"] == id.as_str();
    (id != with.id && speaks_of_it).then(|| Said::Moved(Arc::new(Session { id, cookie: cookie.to_owned() })))
}

/// The value of a cookie in `Set-Cookie`.
fn value(cookie: &str) -> &str {
    let pair = cookie.split(';').next().unwrap_or_default();
    pair.split_once('=').map_or("", |(_, value)| value)
}

fn is_ended(answer: &Answer) -> bool {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    body["type"] == "session-ended"
}

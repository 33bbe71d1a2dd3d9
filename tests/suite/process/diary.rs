//! A browser in a storm: it signs in and out, changes its data, and writes down what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Client, PASSWORD};

const COOKIE: &str = "aiq_session";

/// What was acknowledged to one browser.
#[derive(Default)]
pub struct Diary {
    /// Each login, and the session that it rotated.
    pub logins: Vec<Login>,
    /// Sessions whose logout was acknowledged.
    pub logouts: Vec<String>,
    /// Cookies that must not work any more.
    pub dead: Vec<String>,
    /// Sessions that must work.
    pub living: Vec<Held>,
    /// How many answers were 503 or did not come.
    pub without_answer: usize,
}

pub struct Login {
    pub id: String,
    pub was: Option<String>,
}

/// A session that was acknowledged and not ended, not even by a request without an answer.
pub struct Held {
    pub id: String,
    pub cookie: String,
    /// What its `n` may be: what was acknowledged last, and what was sent since.
    pub data: BTreeSet<Option<u64>>,
}

/// A browser, its diary, and whom it tells of each answer.
pub struct Browser {
    client: Client,
    email: String,
    held: Option<Held>,
    diary: Diary,
    sent: u64,
    chance: u64,
    answered: Sender<()>,
}

impl Browser {
    pub fn new(client: Client, email: String, seed: u64, answered: Sender<()>) -> Self {
        Self { client, email, held: None, diary: Diary::default(), sent: 0, chance: seed, answered }
    }

    /// Goes on until it is told to stop.
    pub fn live(mut self, stop: &AtomicBool) -> Diary {
        while !stop.load(Ordering::Relaxed) {
            match self.held.take() {
                None => self.log_in(None),
                Some(held) => match self.draw(12) {
                    // It is left as it is, and another browser is opened.
                    10.. => {
                        self.diary.living.push(held);
                        self.client.cookies.clear();
                    }
                    0..3 => self.log_in(Some(held)),
                    3..6 => self.change(held),
                    6..8 => self.look(held),
                    _ => self.log_out(held),
                },
            }
            if self.draw(8) == 0 {
                self.look_back();
            }
        }
        self.diary.living.extend(self.held.take());
        self.diary
    }

    /// Logs in, over a session if there is one.
    fn log_in(&mut self, over: Option<Held>) {
        let body = json!({"email": self.email, "password": PASSWORD});
        // Without an answer nobody knows whether the old session was rotated: it is given up.
        let Some(answer) = self.send("POST", "/api/establish-session", &body) else { return };
        assert_eq!(answer.status, 200, "{answer:?}");
        let id = answer.json()["session"]["id"].as_str().expect("an id").to_owned();
        let cookie = self.client.cookies[COOKIE].clone();
        self.diary.logins.push(Login { id: id.clone(), was: over.as_ref().map(|over| over.id.clone()) });
        let data = over.map_or_else(
            || [None].into(),
            |over| {
                self.diary.dead.push(over.cookie);
                over.data
            },
        );
        self.held = Some(Held { id, cookie, data });
    }

    fn change(&mut self, mut held: Held) {
        self.sent += 1;
        held.data.insert(Some(self.sent));
        let answer = self.send("PATCH", "/api/session/data", &json!({"n": self.sent}));
        self.client.cookies.insert(COOKIE.to_owned(), held.cookie.clone());
        if let Some(answer) = answer {
            assert_eq!((answer.status, answer.json()), (200, json!({"n": self.sent})), "{answer:?}");
            held.data = [Some(self.sent)].into();
        }
        self.held = Some(held);
    }

    fn look(&mut self, held: Held) {
        let answer = self.send("GET", "/api/session", &Value::Null);
        self.client.cookies.insert(COOKIE.to_owned(), held.cookie.clone());
        if let Some(answer) = answer {
            assert_eq!(answer.status, 200, "{} was acknowledged: {answer:?}", held.id);
            assert_eq!(answer.json()["session"]["id"], *held.id);
        }
        self.held = Some(held);
    }

    fn log_out(&mut self, held: Held) {
        let Some(answer) = self.send("DELETE", "/api/session", &Value::Null) else { return };
        assert_eq!(answer.status, 204, "{answer:?}");
        self.diary.logouts.push(held.id);
        self.diary.dead.push(held.cookie);
    }

    /// Tries a session that has ended.
    fn look_back(&mut self) {
        if self.diary.dead.is_empty() {
            return;
        }
        let one = self.draw(self.diary.dead.len() as u64);
        let dead = self.diary.dead[usize::try_from(one).unwrap()].clone();
        let jar = std::mem::replace(&mut self.client.cookies, BTreeMap::from([(COOKIE.to_owned(), dead)]));
        let answer = self.send("GET", "/api/session", &Value::Null);
        self.client.cookies = jar;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 401), "what has ended works again: {answer:?}");
    }

    /// What was answered; `None` if nothing was, or that the database was away. Then the cookie is gone.
    fn send(&mut self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.client.try_send(method, path, &[("Content-Type", "application/json")], text.as_bytes());
        match answer {
            Ok(answer) if answer.status != 503 => {
                // Nobody listens any more when the storm is over.
                let _ = self.answered.send(());
                Some(answer)
            }
            _ => {
                self.diary.without_answer += 1;
                self.client.cookies.remove(COOKIE);
                std::thread::sleep(Duration::from_millis(5));
                None
            }
        }
    }

    /// A number below `end`: xorshift64 (Marsaglia, 2003), the same in every run.
    fn draw(&mut self, end: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % end
    }
}

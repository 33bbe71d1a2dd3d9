//! Clients of a storm. Browsers sign in, read, change data and sign out at random. Onlookers send the cookies of all
//! other clients, of live and of ended sessions. All requests are logged.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use serde_json::{Value, json};

use super::log::{Asked, COOKIE, Entry, Log, Said, Session};
use crate::support::{Client, PASSWORD};

/// The number of newest sessions that onlookers choose from.
const RECENT: usize = 40;
/// The pause after a failure, shorter than a real browser's.
const PAUSE: Duration = Duration::from_millis(20);

/// The state that the clients of a storm share.
pub struct Scene<'a> {
    pub log: &'a Log,
    pub stop: &'a AtomicBool,
    /// Every session whose login was acknowledged.
    pub begun: Mutex<Vec<Arc<Session>>>,
}

impl Scene<'_> {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// A client.
pub struct Browser<'a> {
    scene: &'a Scene<'a>,
    client: Client,
    email: String,
    /// Its session, as far as the client knows.
    held: Option<Arc<Session>>,
    /// Whether the last request failed.
    refused: bool,
    sent: u64,
    chance: u64,
}

impl<'a> Browser<'a> {
    pub fn new(scene: &'a Scene<'a>, client: Client, email: &str, seed: u64) -> Self {
        let chance = 0x9e37_79b9 + seed * 7919;
        Self { scene, client, email: email.to_owned(), held: None, refused: false, sent: seed * 1_000_000, chance }
    }

    /// Uses sessions as a person does, until the storm ends.
    pub fn live(mut self) {
        while self.scene.goes_on() {
            if self.held.is_none() {
                self.log_in();
                continue;
            }
            match self.draw(14) {
                0..3 => self.log_in(),
                3..6 => self.change(),
                6..9 => self.go_on(Asked::Look),
                9 => self.go_on(Asked::Data),
                10..12 => self.log_out(),
                // After a failure it tries again with the same session.
                _ if self.refused => {}
                // Leave this session open and start another browser.
                _ => {
                    self.held = None;
                    self.client.cookies.clear();
                }
            }
        }
    }

    /// Tries the sessions of all other clients, live or ended, until the storm ends.
    pub fn look_on(mut self) {
        while self.scene.goes_on() {
            let one = {
                let begun = self.scene.begun.lock().unwrap();
                let recent = &begun[begun.len().saturating_sub(RECENT)..];
                let at = self.chance_of(recent.len());
                recent.get(at).cloned()
            };
            match one {
                Some(session) => drop(self.send(Asked::Look, Some(&session))),
                None => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Checks that the program is alive, until the storm ends.
    pub fn feel_the_pulse(mut self) {
        while self.scene.goes_on() {
            self.send(Asked::Health, None);
            std::thread::sleep(PAUSE);
        }
    }

    /// Repeats a request until the answer is not a 503.
    pub fn insist(mut self, asked: Asked, session: &Arc<Session>) {
        for _ in 0..100 {
            if !matches!(self.send(asked, Some(session)), Said::Away | Said::Silence) {
                return;
            }
        }
        panic!("only 503 for {asked:?}");
    }

    /// Logs in over the current session, if any. After a failure the client cannot know its session, and keeps the old
    /// one.
    fn log_in(&mut self) {
        let over = self.held.clone();
        if let Said::Begun(session) = self.send(Asked::Login, over.as_ref()) {
            self.scene.begun.lock().unwrap().push(Arc::clone(&session));
            self.held = Some(session);
        }
    }

    fn change(&mut self) {
        self.sent += 1;
        self.go_on(Asked::Change(self.sent));
    }

    fn go_on(&mut self, asked: Asked) {
        let held = self.held.clone();
        match self.send(asked, held.as_ref()) {
            Said::Ended => self.held = None,
            Said::Moved(next) => self.held = Some(next),
            _ => {}
        }
    }

    /// Repeats the logout until it is answered, as a person would.
    fn log_out(&mut self) {
        let held = self.held.clone();
        if matches!(self.send(Asked::Logout, held.as_ref()), Said::Done | Said::Ended) {
            self.held = None;
        }
    }

    fn send(&mut self, asked: Asked, with: Option<&Arc<Session>>) -> Said {
        self.client.cookies.remove(COOKIE);
        if let Some(session) = with {
            self.client.cookies.insert(COOKIE.to_owned(), session.cookie.clone());
        }
        let (method, path, body) = match asked {
            Asked::Login => ("POST", "/api/establish-session", json!({"email": self.email, "password": PASSWORD})),
            Asked::Look => ("GET", "/api/session", Value::Null),
            Asked::Data => ("GET", "/api/session/data", Value::Null),
            Asked::Change(n) => ("PATCH", "/api/session/data", json!({"n": n})),
            Asked::Logout => ("DELETE", "/api/session", Value::Null),
            Asked::Health => ("GET", "/healthz", Value::Null),
        };
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let started = self.scene.log.now();
        let answer = self.client.try_send(method, path, &[("Content-Type", "application/json")], text.as_bytes());
        let ended = self.scene.log.now();
        let said = answer.map_or(Said::Silence, |answer| Said::read(asked, with.map(|session| &**session), &answer));
        self.scene.log.write(Entry { asked, with: with.cloned(), started, ended, said: said.clone() });
        self.refused = matches!(said, Said::Away | Said::Silence);
        if self.refused {
            std::thread::sleep(PAUSE);
        }
        said
    }

    /// A random index into a list of this length.
    fn chance_of(&mut self, length: usize) -> usize {
        usize::try_from(self.draw(length.max(1) as u64)).unwrap()
    }

    /// A random number below `end`: xorshift64 (Marsaglia, 2003), the same in every run.
    fn draw(&mut self, end: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % end
    }
}

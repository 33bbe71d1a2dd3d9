//! Whatever anybody sends: tables of odd cookies, headers, bodies, methods, addresses and framing. Each row goes to a few of the
//! addresses, which take turns, and to all of them in the long version.
//!
//! Each row is asked through [`Target::ask`], which judges what holds of every answer: it comes, it is no failure of ours, it
//! carries the contract's headers if the application made it, and it touches no session cookie. [`Target::must_be_unharmed`] ends
//! a case: no row was written, nothing failed inside, and a session that lived still does.

pub mod addresses;
mod cookies;
mod forms;
mod forwarding;
mod framing;
mod json;
mod requests;

use std::fmt::Debug;

use self::addresses::ADDRESSES;
use crate::http::{KIM, assert_unharmed, headers::assert_secured, raw, safe_methods::every_row, serve_process};
use crate::support::{Answer, Client, Server, TestDb, is_long};

const FORM: &[u8] = b"Content-Type: application/x-www-form-urlencoded";
const JSON: &[u8] = b"Content-Type: application/json";

/// What actix answers by itself, before there is a request for the application: it could not be read, or is too large.
const NO_REQUEST: [u16; 4] = [400, 408, 413, 431];

/// A served program with a session in it, and all that it held before somebody odd came.
pub struct Target {
    pub db: TestDb,
    pub server: Server,
    signed_in: Client,
    rows: String,
}

impl Target {
    pub fn new(more: &[(&str, &str)]) -> Self {
        // No touch falls due while a case runs.
        let more: Vec<_> = [("SESSILE_TOUCH_INTERVAL", "1h")].iter().chain(more).copied().collect();
        let (db, server) = serve_process(&more);
        let mut signed_in = server.client();
        signed_in.log_in(KIM);
        let rows = every_row(&db);
        Self { db, server, signed_in, rows }
    }

    /// The value of the session's cookie.
    pub fn session(&self) -> &str {
        self.signed_in.cookies.get("aiq_session").expect("a session")
    }

    /// The whole header of it.
    pub fn cookie(&self) -> Vec<u8> {
        format!("Cookie: {}={}", self.server.cookie("aiq_session"), self.session()).into_bytes()
    }

    /// Sends `method path` with header lines and a body, and judges the answer. `Host`, `Origin` and `Content-Length` are
    /// right unless they are among the lines.
    pub fn ask(&self, method: &str, path: &str, headers: &[&[u8]], body: &[u8]) -> Answer {
        let lines = self.head(method, path, headers, body);
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let answer = Answer::from(raw::ask(&self.server, &lines, body));
        judge(&[shown(&lines), shown(&[body])], path, &answer);
        answer
    }

    fn head(&self, method: &str, path: &str, headers: &[&[u8]], body: &[u8]) -> Vec<Vec<u8>> {
        let is_given = |name: &str| {
            headers
                .iter()
                .any(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes())))
        };
        let origin = format!("localhost:{}", self.server.port);
        let mut lines = vec![format!("{method} {path} HTTP/1.1").into_bytes()];
        if !is_given("host:") {
            lines.push(format!("Host: {origin}").into_bytes());
        }
        if !is_given("origin:") {
            lines.push(format!("Origin: http://{origin}").into_bytes());
        }
        if !(body.is_empty() || is_given("content-length:") || is_given("transfer-encoding:")) {
            lines.push(format!("Content-Length: {}", body.len()).into_bytes());
        }
        lines.extend(headers.iter().map(|line| line.to_vec()));
        lines
    }

    /// The program is as it was.
    pub fn must_be_unharmed(mut self) {
        assert_unharmed(&self.server);
        self.stands();
    }

    /// What it held is there, whatever the log says.
    pub fn stands(&mut self) {
        assert_eq!(every_row(&self.db), self.rows, "rows were written");
        assert_eq!(self.signed_in.get("/api/session").status, 200, "the session is lost");
    }
}

/// What holds of every answer.
pub fn judge(what: &impl Debug, path: &str, answer: &Answer) {
    assert!(answer.status < 500, "{what:?}: {answer:?}");
    match answer.header("x-request-id") {
        Some(_) => assert_secured(answer),
        None => assert!(NO_REQUEST.contains(&answer.status), "{what:?}: the application did not answer: {answer:?}"),
    }
    if let Some(cookie) = answer.sets("aiq_session") {
        let is_taken_back = path == "/logout" && cookie.contains("Max-Age=0");
        assert!(is_taken_back, "{what:?} touched the session cookie: {answer:?}");
    }
}

/// The beginning of what was sent, for who reads a failure.
fn shown(parts: &[&[u8]]) -> String {
    let all = parts.join(b"\n".as_slice());
    format!("{:.160}", String::from_utf8_lossy(&all))
}

/// What is odd and where it is sent: everything everywhere in the long version; else each to a few of the places, which take
/// turns, so that every place gets something of every kind.
pub fn pairs<Odd, Place>(odd: &[Odd], places: Vec<Place>) -> Vec<(&Odd, Place)>
where
    Place: Clone,
{
    const FEW: usize = 5;
    let few = if is_long() { places.len() } else { FEW.min(places.len()) };
    let turns = (0..odd.len()).map(|n| places.iter().cycle().skip(n * few).take(few).cloned().collect::<Vec<_>>());
    odd.iter().zip(turns).flat_map(|(odd, places)| places.into_iter().map(move |place| (odd, place))).collect()
}

/// Every method that every address takes.
pub fn all_places() -> Vec<(&'static str, String)> {
    ADDRESSES.iter().flat_map(|address| address.methods().map(|method| (method, address.path()))).collect()
}

//! Malformed requests: tables of odd cookies, headers, bodies, methods, addresses and framing. Each row is sent to a
//! few addresses in turn, and to all of them in the long version.
//!
//! [`Target::ask`] sends each row and checks what holds for every answer: the server answers without an internal error,
//! sends the contract's headers if the application made the answer, and sets no session cookie.
//! [`Target::must_be_unharmed`] ends a case and checks that no row was written, nothing failed inside, and the session
//! still lives.

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

/// The statuses that actix answers itself, when it cannot pass a request to the application.
const NO_REQUEST: [u16; 4] = [400, 408, 413, 431];

/// A served program with a session, and a copy of its rows from before the malformed requests.
pub struct Target {
    pub db: TestDb,
    pub server: Server,
    signed_in: Client,
    rows: String,
}

impl Target {
    pub fn new(more: &[(&str, &str)]) -> Self {
        // With this interval no touch is due during a case.
        let more: Vec<_> = [("SESSILE_TOUCH_INTERVAL", "1h")].iter().chain(more).copied().collect();
        let (db, server) = serve_process(&more);
        let mut signed_in = server.client();
        signed_in.log_in(KIM);
        let rows = every_row(&db);
        Self { db, server, signed_in, rows }
    }

    /// The value of the session cookie.
    pub fn session(&self) -> &str {
        self.signed_in.cookies.get("aiq_session").expect("a session")
    }

    /// The header line with the session cookie.
    pub fn cookie(&self) -> Vec<u8> {
        format!("Cookie: {}={}", self.server.cookie("aiq_session"), self.session()).into_bytes()
    }

    /// Sends `method path` with header lines and a body, and checks the answer. Valid `Host`, `Origin` and
    /// `Content-Length` are added unless they are among the lines.
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

    /// Checks that the program's state has not changed and that the log shows no failure.
    pub fn must_be_unharmed(mut self) {
        assert_unharmed(&self.server);
        self.stands();
    }

    /// Checks that the rows and the session are unchanged, whatever the log contains.
    pub fn stands(&mut self) {
        assert_eq!(every_row(&self.db), self.rows, "rows have changed");
        assert_eq!(self.signed_in.get("/api/session").status, 200, "the session is lost");
    }
}

/// Checks what holds for every answer.
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

/// The beginning of what was sent, for failure messages.
fn shown(parts: &[&[u8]]) -> String {
    let all = parts.join(b"\n".as_slice());
    format!("{:.160}", String::from_utf8_lossy(&all))
}

/// Pairs odd values with places. The long version pairs each value with each place. Otherwise each value goes to a few
/// places in turn, so that every place gets a value of every kind.
pub fn pairs<Odd, Place>(odd: &[Odd], places: Vec<Place>) -> Vec<(&Odd, Place)>
where
    Place: Clone,
{
    const FEW: usize = 5;
    let few = if is_long() { places.len() } else { FEW.min(places.len()) };
    let turns = (0..odd.len()).map(|n| places.iter().cycle().skip(n * few).take(few).cloned().collect::<Vec<_>>());
    odd.iter().zip(turns).flat_map(|(odd, places)| places.into_iter().map(move |place| (odd, place))).collect()
}

/// Every address with each of its methods.
pub fn all_places() -> Vec<(&'static str, String)> {
    ADDRESSES.iter().flat_map(|address| address.methods().map(|method| (method, address.path()))).collect()
}

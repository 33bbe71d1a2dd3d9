//! Requests written byte by byte that no client library would send, and many requests at once.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Answer, Served};

/// The first answer on a connection.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// Sends a head and a body and closes the connection once the answer is complete. The server would close it too, but
/// waits a second if it has not read the body.
pub fn ask(server: &Served, lines: &[&[u8]], body: &[u8]) -> Reply {
    let request = [lines.join(b"\r\n".as_slice()).as_slice(), b"\r\nConnection: close\r\n\r\n", body].concat();
    let has_no_body = lines[0].starts_with(b"HEAD ");
    read(&converse_until(server.port, &request, |answer| !has_no_body && is_whole(answer)))
}

/// Whether an answer with a `Content-Length` is complete.
fn is_whole(answer: &[u8]) -> bool {
    let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= at + 4 + length)
}

/// Parses the first answer after an optional `100 Continue`.
pub fn read(bytes: &[u8]) -> Reply {
    let bytes = bytes.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    Reply {
        status: status.unwrap_or_else(|| panic!("a status in {text:?}")),
        head: String::from_utf8_lossy(&bytes[..at]).into_owned(),
        body: bytes.get(at + 4..).unwrap_or_default().to_vec(),
    }
}

/// Sends GETs one after the other on a single connection. Returns the number of answers that satisfy `judge`.
pub fn ask_in_turn(port: u16, requests: impl Iterator<Item = String>, judge: impl Fn(&str) -> bool) -> usize {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).expect("a connection"));
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(30))).expect("a deadline");
    stream.get_ref().set_nodelay(true).expect("an option");
    requests
        .filter(|request| {
            stream.get_mut().write_all(request.as_bytes()).expect("an open connection");
            judge(&read_answer(&mut stream))
        })
        .count()
}

fn read_answer(stream: &mut impl BufRead) -> String {
    let mut answer = String::new();
    let mut length = 0;
    while !answer.ends_with("\r\n\r\n") {
        let at = answer.len();
        assert!(stream.read_line(&mut answer).expect("an answer") > 0, "closed after {answer:?}");
        if let Some(value) = answer[at..].strip_prefix("content-length: ") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    answer + &String::from_utf8(body).expect("a text")
}

/// Sends bytes while reading, until the server closes the connection.
pub fn converse(port: u16, request: &[u8]) -> Vec<u8> {
    converse_until(port, request, |_| false)
}

fn converse_until(port: u16, request: &[u8], is_enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a deadline");
    let mut writing = stream.try_clone().expect("the other half");
    let mut answer = Vec::new();
    std::thread::scope(|scope| {
        // The server may close before it has read everything.
        scope.spawn(move || writing.write_all(request));
        let mut piece = vec![0; 64 * 1024];
        while !is_enough(&answer) {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => answer.extend_from_slice(&piece[..length]),
                Err(error) => {
                    assert!(error.kind() == std::io::ErrorKind::ConnectionReset, "{error}");
                    break;
                }
            }
        }
        // Also end the writing thread.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    answer
}

impl Reply {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(one, _)| one.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        let lines = reply.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let headers = lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status: reply.status, headers, body: String::from_utf8_lossy(&reply.body).into_owned() }
    }
}

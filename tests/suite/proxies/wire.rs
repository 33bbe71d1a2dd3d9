//! HTTP/1.1 by hand: the cases send requests that no client library would send, and look at every byte that arrives.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

/// The first line and the headers of a request or an answer.
#[derive(Debug, Clone, Default)]
pub struct Head {
    pub first: String,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn read(from: &mut impl BufRead) -> Option<Self> {
        let first = line(from)?;
        let mut headers = Vec::new();
        loop {
            let field = line(from)?;
            if field.is_empty() {
                return Some(Self { first, headers });
            }
            let (name, value) = field.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header; empty without it.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    /// The address in a request, as it was sent.
    pub fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// The body, by its length or in chunks. Without either it is empty, or what comes until the end.
    pub fn body(&self, from: &mut impl BufRead, until_end: bool) -> Vec<u8> {
        let mut body = Vec::new();
        if self.get("transfer-encoding").eq_ignore_ascii_case("chunked") {
            while let Some(size) = line(from).and_then(|size| u64::from_str_radix(&size, 16).ok()) {
                from.by_ref().take(size).read_to_end(&mut body).expect("a chunk");
                line(from);
                if size == 0 {
                    break;
                }
            }
        } else if let Ok(length) = self.get("content-length").parse() {
            from.by_ref().take(length).read_to_end(&mut body).expect("a body");
        } else if until_end {
            from.read_to_end(&mut body).expect("a body");
        }
        body
    }
}

fn line(from: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let length = from.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

/// An answer that has arrived.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: Head,
    pub body: String,
}

/// A client's connection.
pub struct Conn {
    stream: BufReader<TcpStream>,
}

impl Conn {
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        Self { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("an open connection");
    }

    /// The next answer to a request with this method.
    pub fn answer(&mut self, method: &str) -> Answer {
        let head = Head::read(&mut self.stream).expect("an answer");
        let status = head.first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let bare = method == "HEAD" || status == 101 || status == 204 || status == 304;
        let body = if bare { Vec::new() } else { head.body(&mut self.stream, true) };
        Answer { status, head, body: String::from_utf8(body).expect("text") }
    }

    pub fn head(&mut self) -> Head {
        Head::read(&mut self.stream).expect("an answer")
    }

    /// Reads until this text has arrived.
    pub fn read_until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&seen).contains(text) {
            self.stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {seen:?}"));
            seen.push(byte[0]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("bytes");
        bytes
    }
}

/// A request at a [`Listening`] server.
pub struct Request {
    pub head: Head,
    stream: BufReader<TcpStream>,
}

impl Request {
    pub fn body(&mut self) -> Vec<u8> {
        self.head.body(&mut self.stream, false)
    }

    /// Answers with these header lines. The connection stays open.
    pub fn answer(&mut self, status: u16, fields: &[&str], body: &[u8]) {
        let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
        for field in fields {
            head += &format!("{field}\r\n");
        }
        let shown = if self.head.method() == "HEAD" { &[] } else { body };
        // The client may be gone.
        let _ = self.stream.get_mut().write_all(&[head.as_bytes(), b"\r\n", shown].concat());
    }

    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// The next bytes of the connection; empty at its end.
    pub fn receive(&mut self) -> Vec<u8> {
        let bytes = self.stream.fill_buf().map(<[u8]>::to_vec).unwrap_or_default();
        self.stream.consume(bytes.len());
        bytes
    }
}

/// A server with a thread for each connection. Dropping it ends them all.
pub struct Listening {
    pub port: u16,
    ended: Arc<AtomicBool>,
    streams: Arc<Mutex<HashMap<u64, TcpStream>>>,
}

impl Listening {
    pub fn start(handler: impl Fn(&mut Request) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (ended, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(HashMap::new())));
        let server = Self { port, ended: ended.clone(), streams: streams.clone() };
        let handler = Arc::new(handler);
        std::thread::spawn(move || {
            let next = AtomicU64::new(0);
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let id = next.fetch_add(1, Ordering::Relaxed);
                streams.lock().unwrap().insert(id, stream.try_clone().expect("a stream"));
                let (handler, streams) = (handler.clone(), streams.clone());
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(head) = Head::read(&mut stream) {
                        let mut request = Request { head, stream };
                        handler(&mut request);
                        stream = request.stream;
                    }
                    streams.lock().unwrap().remove(&id);
                });
            }
        });
        server
    }

    /// Refuses new connections and closes those that are open, as a killed process would.
    pub fn stop(&self) {
        if !self.ended.swap(true, Ordering::SeqCst) {
            // Wakes the thread that accepts, which drops the listener.
            let _ = TcpStream::connect(("127.0.0.1", self.port));
            for stream in self.streams.lock().unwrap().values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop();
    }
}

//! An open `GET /api/events`, read as the events arrive.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Client;

/// An event and the time of its arrival.
#[derive(Debug, Clone)]
pub struct Told {
    pub at: Instant,
    pub name: String,
    pub data: Value,
}

/// A stream. Dropping it closes the connection.
pub struct Stream {
    pub head: String,
    socket: TcpStream,
    events: mpsc::Receiver<Told>,
    beats: Arc<AtomicUsize>,
}

impl Stream {
    /// Opens a stream with the client's cookies. The answer must be a 200.
    pub fn open(port: u16, client: &Client) -> Self {
        let stream = Self::try_open(port, client);
        assert!(stream.head.starts_with("HTTP/1.1 200"), "{}", stream.head);
        stream
    }

    pub fn try_open(port: u16, client: &Client) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        let cookies: Vec<String> = client.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = format!(
            "GET /api/events HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: text/event-stream\r\nCookie: {}\r\n\r\n",
            cookies.join("; ")
        );
        socket.write_all(request.as_bytes()).expect("a request");
        let mut lines = BufReader::new(socket.try_clone().expect("a connection")).lines().map_while(Result::ok);
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let (send, events) = mpsc::channel();
        let beats = Arc::new(AtomicUsize::new(0));
        let heard = Arc::clone(&beats);
        std::thread::spawn(move || {
            let mut name = String::new();
            for line in lines {
                if let Some(event) = line.strip_prefix("event: ") {
                    event.clone_into(&mut name);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let data = serde_json::from_str(data).expect("JSON");
                    let told = Told { at: Instant::now(), name: std::mem::take(&mut name), data };
                    if send.send(told).is_err() {
                        return;
                    }
                } else if line == ":" {
                    heard.fetch_add(1, Ordering::SeqCst);
                } else if line == "0" {
                    // The last chunk of the answer.
                    return;
                }
            }
        });
        Self { head: head.join("\n"), socket, events, beats }
    }

    /// The next event; `None` after the server has closed the stream.
    pub fn next(&self) -> Option<Told> {
        match self.events.recv_timeout(Duration::from_secs(30)) {
            Ok(told) => Some(told),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no event within 30 s"),
        }
    }

    /// Skips to the next event with this name.
    pub fn until(&self, name: &str) -> Told {
        loop {
            let told = self.next().unwrap_or_else(|| panic!("closed without {name}"));
            if told.name == name {
                return told;
            }
        }
    }

    /// Waits for the event that the session ended for this reason. The server must close the stream after it.
    pub fn ends(&self, reason: &str) -> Told {
        let told = self.until("session-ended");
        assert_eq!((told.data["type"].as_str(), told.data["reason"].as_str()), (Some("session-ended"), Some(reason)));
        assert!(self.next().is_none(), "nothing comes after the end");
        told
    }

    /// The number of heartbeats so far.
    pub fn beats(&self) -> usize {
        self.beats.load(Ordering::SeqCst)
    }

    /// The events that have already arrived.
    pub fn so_far(&self) -> Vec<Told> {
        self.events.try_iter().collect()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

//! The protected app: it answers with the request as it arrived, echoes WebSockets, and sends one event and then
//! nothing.

use serde_json::{Value, json};

use super::wire::{Answer, Listening, Request};

/// The bytes of the header that confirms a WebSocket, for the key that the cases send.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub fn start() -> Listening {
    Listening::start(answer)
}

fn answer(request: &mut Request) {
    let path = request.head.target().split('?').next().unwrap_or_default().to_owned();
    match path.as_str() {
        "/ws" if request.head.get("upgrade").eq_ignore_ascii_case("websocket") => echo_socket(request),
        "/events" => one_event(request),
        _ => match path.strip_prefix("/status/").and_then(|status| status.parse().ok()) {
            Some(status) => {
                request.body();
                request.answer(status, &["Content-Type: text/plain"], format!("the app says {status}").as_bytes());
            }
            None => echo(request),
        },
    }
}

fn echo(request: &mut Request) {
    let body = request.body();
    let sum = body.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    let shown = if body.len() < 1_000 { String::from_utf8_lossy(&body).into_owned() } else { String::new() };
    let told = json!({
        "app": true, "method": request.head.method(), "target": request.head.target(), "headers": request.head.headers,
        "length": body.len(), "sum": sum, "body": shown,
    });
    let fields = ["Content-Type: application/json", "Set-Cookie: app=1; Path=/", "Set-Cookie: basket=2; Path=/"];
    request.answer(200, &fields, told.to_string().as_bytes());
}

fn echo_socket(request: &mut Request) {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    request.send(head.as_bytes());
    loop {
        let bytes = request.receive();
        if bytes.is_empty() || !request.send(&bytes) {
            return;
        }
    }
}

/// Sends one event and keeps the stream open until the client leaves.
fn one_event(request: &mut Request) {
    request.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: first\n\n");
    while !request.receive().is_empty() {}
}

/// What the app or Sessile's echo tells about the request that it got.
pub struct Seen(Value);

impl Seen {
    pub fn of(answer: &Answer) -> Self {
        Self::parse(answer.status, &answer.body)
    }

    pub fn parse(status: u16, body: &str) -> Self {
        assert_eq!(status, 200, "{body}");
        Self(serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    /// Every value of this header, under any spelling that CGI, WSGI or PHP would read as the same.
    pub fn all(&self, name: &str) -> Vec<String> {
        let same = |one: &str| one.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-") == name;
        let headers = self.0["headers"].as_array().expect("headers");
        let pairs = headers.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        pairs.filter(|(known, _)| same(known)).map(|(_, value)| value.to_owned()).collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.0["headers"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap().to_owned()).collect()
    }

    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("{key} in {}", self.0))
    }

    pub fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_else(|| panic!("{key} in {}", self.0))
    }
}

//! A gate with the answers of the contract, so that the cases are about the proxies alone.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;

use super::wire::{Head, Listening, Request};

const TOKEN: &str = "gate-token_1";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// Signed in and admitted.
    Kim,
    /// Signed in, and not admitted to this app.
    Guest,
    Nobody,
}

/// A gate for one app.
pub struct Gate {
    server: Listening,
    away: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Question>>>,
}

/// A request that arrived at the gate.
#[derive(Debug, Clone)]
pub struct Question {
    pub head: Head,
    pub body: usize,
}

impl Gate {
    pub fn start(origin: &str) -> Self {
        let (away, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (origin, now_away, log) = (origin.to_owned(), away.clone(), asked.clone());
        let server = Listening::start(move |request| {
            let body = request.body().len();
            match request.head.target().strip_prefix("/.sessile/gate/").map(str::to_owned) {
                Some(token) => {
                    log.lock().unwrap().push(Question { head: request.head.clone(), body });
                    answer(request, &origin, token.split('?').next() == Some(TOKEN), now_away.load(Ordering::SeqCst));
                }
                None => own_page(request),
            }
        });
        Self { server, away, asked }
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    pub fn token(&self) -> String {
        TOKEN.to_owned()
    }

    /// The header line that this visitor's browser sends.
    pub fn cookie(&self, visitor: Visitor) -> &'static str {
        match visitor {
            Visitor::Kim => "Cookie: sessile_app=kim",
            Visitor::Guest => "Cookie: sessile_app=guest",
            Visitor::Nobody => "Cookie: other=1",
        }
    }

    /// From now on the database is away.
    pub fn lose_database(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    /// From now on there is no process.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Every question so far.
    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(request: &mut Request, origin: &str, known: bool, away: bool) {
    let head = request.head.clone();
    let hosts = head.all("x-forwarded-host");
    let forwarded = format!("{}://{}", head.get("x-forwarded-proto"), hosts.join(","));
    let (method, uri) = (head.get("x-forwarded-method"), head.get("x-forwarded-uri"));
    let cookie = head.get("cookie");
    let problem = |kind: &str| json!({ "type": kind }).to_string().into_bytes();
    let problem_json = "Content-Type: application/problem+json";
    if !known {
        return request.answer(404, &[problem_json], &problem("not-found"));
    }
    if away {
        return request.answer(503, &[problem_json, "Retry-After: 7"], &problem("unavailable"));
    }
    if forwarded != origin || method.is_empty() || uri.is_empty() {
        return request.answer(403, &[problem_json], &problem("wrong-host"));
    }
    if is_foreign(&head, origin, method) {
        return request.answer(403, &[problem_json], &problem("cross-origin"));
    }
    if cookie.contains("sessile_app=kim") {
        let fields = [
            "X-Sessile-User: acc_kim",
            "X-Sessile-Email: kim@example.com",
            "X-Sessile-Name: Kim%20%E2%9C%93",
            "X-Sessile-Role: member",
            "X-Sessile-Groups: ",
            "X-Sessile-Session: ses_1",
            "X-Sessile-Assertion: a.b.c",
        ];
        return request.answer(200, &fields, b"");
    }
    if uri.split('?').next() == Some("/.sessile/echo") {
        return request.answer(200, &["X-Sessile-User: ", "X-Sessile-Role: ", "X-Sessile-Groups: "], b"");
    }
    if cookie.contains("sessile_app=guest") {
        return request.answer(403, &["Content-Type: text/html"], b"<h1>Not admitted</h1>");
    }
    let fetch = (head.get("sec-fetch-mode"), head.get("sec-fetch-dest"));
    let read = matches!(method, "GET" | "HEAD");
    if read && (fetch == ("navigate", "document") || fetch.0.is_empty() && head.get("accept").contains("text/html")) {
        let to: String = uri.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let location = format!("Location: {origin}/.sessile/start?to={to}");
        return request.answer(303, &[&location, "Cache-Control: no-store", "Vary: Cookie"], b"");
    }
    request.answer(401, &[problem_json, "Cache-Control: no-store"], &problem("login-required"));
}

/// Whether a request that may change something comes from another origin.
fn is_foreign(head: &Head, origin: &str, method: &str) -> bool {
    let upgrade = !head.get("sec-websocket-key").is_empty();
    let unsafe_method = !matches!(method, "GET" | "HEAD" | "OPTIONS");
    (upgrade || unsafe_method) && !head.get("origin").is_empty() && head.get("origin") != origin
}

/// Sessile's own pages on the app's host. They answer with the request as it arrived.
fn own_page(request: &mut Request) {
    let told =
        json!({ "target": request.head.target(), "method": request.head.method(), "headers": request.head.headers });
    let echo = request.head.target().starts_with("/.sessile/echo");
    let fields = [
        "Content-Type: application/json",
        "Set-Cookie: sessile_pending=1; Path=/",
        "Set-Cookie: sessile_app=kim; Path=/",
    ];
    request.answer(200, &fields[..if echo { 1 } else { 3 }], told.to_string().as_bytes());
}

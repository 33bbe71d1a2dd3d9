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
    /// Signed in and admitted, with a long name and many groups.
    Crowd,
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
            Visitor::Crowd => "Cookie: sessile_app=crowd",
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
    // The echo is for everybody, so it tells nothing about the person.
    if uri.split('?').next() == Some("/.sessile/echo") {
        return request.answer(200, &OF_NOBODY, b"");
    }
    if cookie.contains("sessile_app=kim") {
        return request.answer(200, &OF_KIM, b"");
    }
    if cookie.contains("sessile_app=crowd") {
        let fields = of_crowd();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        return request.answer(200, &fields, b"");
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

const OF_NOBODY: [&str; 7] = [
    "X-Sessile-User: ",
    "X-Sessile-Email: ",
    "X-Sessile-Name: ",
    "X-Sessile-Role: ",
    "X-Sessile-Groups: ",
    "X-Sessile-Session: ",
    "X-Sessile-Assertion: ",
];
const OF_KIM: [&str; 7] = [
    "X-Sessile-User: acc_kim",
    "X-Sessile-Email: kim@example.com",
    "X-Sessile-Name: Kim%20%E2%9C%93",
    "X-Sessile-Role: member",
    "X-Sessile-Groups: ",
    "X-Sessile-Session: ses_1",
    "X-Sessile-Assertion: a.b.c",
];

/// The groups of the person with the most, as a header has them.
pub fn many_groups() -> String {
    let groups: Vec<String> = (0..50).map(|n| format!("{n:02}-{}", "g".repeat(60))).collect();
    groups.join(",")
}

/// The headers of somebody with 50 groups and a name of 80 characters of other scripts, for an app that gets `Remote-`
/// headers too. The assertion has the length that the real one has.
fn of_crowd() -> Vec<String> {
    let (name, groups) = ("%E4%BA%BA".repeat(80), many_groups());
    let assertion = "a".repeat((groups.len() + 3 * 50 + 80 * 3 + 500) * 4 / 3);
    let shared = [("Email", "crowd@example.com"), ("Name", &name), ("Groups", &groups)];
    let own = [("User", "acc_crowd"), ("Role", "member"), ("Session", "ses_2"), ("Assertion", &assertion)];
    let own = own.iter().chain(&shared).map(|(name, value)| format!("X-Sessile-{name}: {value}"));
    let remote =
        shared.iter().chain(&[("User", "crowd@example.com")]).map(|(name, value)| format!("Remote-{name}: {value}"));
    own.chain(remote).collect()
}

/// Whether a request that may change something comes from another origin.
fn is_foreign(head: &Head, origin: &str, method: &str) -> bool {
    let upgrade = !head.get("sec-websocket-key").is_empty();
    let unsafe_method = !matches!(method, "GET" | "HEAD" | "OPTIONS");
    let is_foreign = match (head.get("sec-fetch-site"), head.get("origin")) {
        ("", from) => !from.is_empty() && from != origin,
        (site, _) => !matches!(site, "same-origin" | "none"),
    };
    (upgrade || unsafe_method) && is_foreign
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

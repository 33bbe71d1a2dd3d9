//! The printed configurations in real proxies: nginx, Caddy, Traefik, HAProxy and Envoy, each between a client, a gate
//! and a small app. A proxy that is not installed is not checked; the output says so.

#![expect(clippy::print_stdout, reason = "says which proxies were not checked")]

mod app;
mod faults;
mod gate;
mod identity;
mod own_pages;
mod passing;
mod proxy;
mod public_paths;
mod real_server;
mod refusals;
mod streams;
mod tls;
mod wire;

use std::time::{Duration, Instant};

use sessile::web::snippet::{Proxy, Snippet, render};

use self::{
    app::Seen,
    gate::{Gate, Visitor},
    proxy::{Running, program},
    wire::{Answer, Conn, Listening},
};
use crate::support::lasting_port;

/// Makes a test of each case with each proxy.
macro_rules! with_every_proxy {
    ($($case:ident),+ $(,)?) => {
        $crate::proxies::with_every_proxy!(nginx Nginx: $($case),+);
        $crate::proxies::with_every_proxy!(caddy Caddy: $($case),+);
        $crate::proxies::with_every_proxy!(traefik Traefik: $($case),+);
        $crate::proxies::with_every_proxy!(haproxy Haproxy: $($case),+);
        $crate::proxies::with_every_proxy!(envoy Envoy: $($case),+);
    };
    ($module:ident $proxy:ident: $($case:ident),+) => {
        mod $module {
            $(
                #[test]
                #[ignore = "needs a proxy: run ./scripts/test"]
                fn $case() {
                    $crate::proxies::run(sessile::web::snippet::Proxy::$proxy, super::$case);
                }
            )+
        }
    };
}
use with_every_proxy;

/// A proxy with an app and a gate behind it.
struct Stand {
    gate: Gate,
    app: Listening,
    proxy: Running,
    port: u16,
}

fn run(proxy: Proxy, case: fn(Stand)) {
    match program(proxy) {
        Some(program) => case(Stand::start(proxy, &program)),
        None => println!("NOT CHECKED: {proxy} is not installed"),
    }
}

impl Stand {
    fn start(proxy: Proxy, program: &std::path::Path) -> Self {
        let (app, port) = (app::start(), lasting_port());
        let origin = format!("http://localhost:{port}");
        let gate = Gate::start(&origin);
        let text = printed(proxy, &origin, app.port, &gate);
        let proxy = Running::start(proxy, program, &text, port);
        let stand = Self { gate, app, proxy, port };
        let answers = Self::wait_for(|| stand.ask(Visitor::Nobody, "GET /health", &[]).status == 200);
        assert!(answers, "the app cannot be reached: {}", stand.proxy.log());
        stand
    }

    /// Waits until the proxy routes requests. Traefik listens before it has read its routes.
    fn wait_for(reached: impl Fn() -> bool) -> bool {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            if reached() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn origin(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Sends a request as this visitor over a new connection. `Host` is the app's unless given.
    fn ask(&self, visitor: Visitor, line: &str, fields: &[&str]) -> Answer {
        self.send(visitor, line, fields, b"")
    }

    fn send(&self, visitor: Visitor, line: &str, fields: &[&str], body: &[u8]) -> Answer {
        let mut conn = Conn::open(self.port);
        conn.send(&self.request(visitor, line, fields, body));
        conn.answer(line.split(' ').next().unwrap())
    }

    fn request(&self, visitor: Visitor, line: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
        let mut head = format!("{line} HTTP/1.1\r\n{}\r\n", self.gate.cookie(visitor));
        if !fields.iter().any(|field| field.starts_with("Host:")) {
            head += &format!("Host: localhost:{}\r\n", self.port);
        }
        if !line.starts_with("GET ") || !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        for field in fields {
            head += &format!("{field}\r\n");
        }
        [head.as_bytes(), b"\r\n", body].concat()
    }
}

/// The configuration for the app at this port.
fn printed(proxy: Proxy, origin: &str, app: u16, gate: &Gate) -> String {
    render(&Snippet {
        app_origin: origin,
        public_paths: &["/health".to_owned(), "/hooks/".to_owned()],
        upstream: &format!("127.0.0.1:{app}"),
        sessile: &format!("127.0.0.1:{}", gate.port()),
        token: Some(&gate.token()),
        proxy,
    })
    .expect("a configuration")
}

/// The headers of a browser that opens a page.
const NAVIGATION: [&str; 3] = ["Accept: text/html,*/*;q=0.8", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];

/// The headers of a script that fetches something.
const FETCH: [&str; 3] = ["Accept: */*", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"];

/// Checks that an answer of the gate reached the browser and brought nothing that does not belong on the app's host.
fn assert_of_the_gate(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(!answer.body.contains("\"app\":true"), "the app was asked: {answer:?}");
    for name in ["strict-transport-security", "set-cookie"] {
        assert!(answer.head.all(name).is_empty(), "{answer:?}");
    }
}

/// Checks that a request to an odd address was refused, and did not fail.
fn assert_refused(target: &str, answer: &Answer) {
    assert!(matches!(answer.status, 303 | 400 | 401 | 403 | 404), "{target}: {answer:?}");
}

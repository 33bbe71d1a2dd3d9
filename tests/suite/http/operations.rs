//! The operators' addresses: who may read metrics, what the metrics contain, and the readiness of a node.

use std::net::TcpStream;

use super::{KIM, serve, serve_https};
use crate::support::{Answer, Client, PASSWORD, Served, eventually};

const COMPONENTS: [&str; 5] = ["databasePool", "pwa", "sessionRegeneration", "sessionStore", "touch"];

#[test]
fn metrics_are_for_this_machine_and_the_networks_of_its_proxies() {
    let trusting = [("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32,10.0.0.0/8")];
    let (_db, trusting) = serve(&trusting);
    let (_other_db, wary) = serve(&[]);
    let (xff, proto, forwarded) = ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded");
    type Sent<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&Served, Sent<'_>, u16)] = &[
        (&wary, &[], 200),
        (&wary, &[(xff, "203.0.113.9")], 403),
        (&wary, &[(xff, "127.0.0.1")], 403),
        (&wary, &[(proto, "http")], 403),
        (&wary, &[(forwarded, "for=127.0.0.1")], 403),
        (&trusting, &[], 200),
        (&trusting, &[(xff, "10.0.0.4")], 200),
        (&trusting, &[(xff, "203.0.113.9, 10.0.0.4")], 403),
        (&trusting, &[(xff, "203.0.113.9")], 403),
        (&trusting, &[(xff, "127.0.0.1, 203.0.113.9")], 403),
        (&trusting, &[(xff, "somebody")], 403),
    ];
    for (server, sent, status) in cases {
        for path in ["/metrics", "/readyz"] {
            let answer = server.client().send("GET", path, sent, b"");
            match (path, status) {
                ("/metrics", 403) => {
                    assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"), "{sent:?}")
                }
                ("/metrics", _) => assert_eq!(answer.status, 200, "{sent:?}: {answer:?}"),
                // Anybody may read the readiness, but not the figures.
                _ => assert_eq!((answer.status, has_figures(&answer)), (200, *status == 200), "{sent:?}: {answer:?}"),
            }
        }
    }
}

fn has_figures(answer: &Answer) -> bool {
    answer.json()["components"]["databasePool"].get("max").is_some()
}

#[test]
fn readiness_names_each_component_without_a_session() {
    let (_db, server, mut client) = serve_https(&[("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")]);
    client.cookies.insert("__Host-aiq_session".to_owned(), "something".to_owned());
    for sent in [&[][..], &[("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "203.0.113.9")]] {
        let answer = client.send("GET", "/readyz", sent, b"");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{answer:?}");
        assert_eq!((answer.header("set-cookie"), answer.header("cache-control")), (None, Some("no-store")));
        let said = answer.json();
        assert_eq!(said["status"], "ok");
        let components = said["components"].as_object().expect("an object");
        assert_eq!(components.keys().map(String::as_str).collect::<Vec<_>>(), COMPONENTS);
        assert!(components.values().all(|component| component["status"] == "ok"), "{said}");
        let public = components.values().all(|component| component.as_object().is_some_and(|shown| shown.len() == 1));
        assert_eq!(public, !sent.is_empty(), "{said}");
    }
    assert_eq!(client.send("HEAD", "/readyz", &[], b"").status, 200);
    assert_eq!(server.client().send("POST", "/readyz", &[], b"").status, 405);
    assert_eq!(server.client().send("POST", "/metrics", &[], b"").status, 405);
}

#[test]
fn requests_are_counted_by_route_pattern() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    client.try_log_in(KIM, "a wrong password");
    client.try_log_in("nobody@example.com", PASSWORD);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-600)");
    assert_eq!(client.get("/api/session").status, 200);
    for path in ["/static/nothing.css", "/nowhere/kim", "/nowhere/alex?secret=1"] {
        assert_eq!(client.get(path).status, 404);
    }
    server.client().send("BREW", "/login", &[], b"");
    let text = metrics(&server);
    for (line, least) in [
        ("requests_total{method=\"POST\",route=\"/api/establish-session\",status=\"200\"}", 1.0),
        ("requests_total{method=\"POST\",route=\"/api/establish-session\",status=\"401\"}", 2.0),
        ("requests_total{method=\"GET\",route=\"/static/{name:.*}\",status=\"404\"}", 1.0),
        ("requests_total{method=\"GET\",route=\"none\",status=\"404\"}", 2.0),
        ("requests_total{method=\"other\",route=\"/login\",status=\"405\"}", 1.0),
        ("request_seconds_count{method=\"GET\",route=\"/api/session\"}", 1.0),
        ("session_loads_total{found=\"live\"}", 1.0),
        ("touches_queued_total", 1.0),
        ("logins_total{outcome=\"welcome\"}", 1.0),
        ("logins_total{outcome=\"refused\"}", 2.0),
        ("live_sessions", 1.0),
        ("database_connections_max", 2.0),
        ("database_wait_seconds_count", 5.0),
        ("database_seconds_count{kind=\"transaction\"}", 1.0),
    ] {
        assert!(value(&text, line) >= least, "{line}: {text}");
    }
    for secret in ["kim", "alex", "nowhere", "BREW", "secret", "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn touches_and_sweeps_are_counted_when_they_are_done() {
    actix_web::rt::System::new().block_on(async {
        let (db, server) = serve(&[("SESSILE_PRUNE_INTERVAL", "100ms")]);
        let mut client = server.client();
        client.log_in(KIM);
        db.sql("UPDATE sessions SET last_activity = INSTANT(-600)");
        client.get("/api/session");
        let reached = |line: &str| value(&metrics(&server), line) >= 1.0;
        eventually("a flush", async || reached("touches_flushed_total")).await;
        assert!(value(&metrics(&server), "touches_waiting") < 1.0);
        db.sql("UPDATE sessions SET expires_at = INSTANT(-1)");
        eventually("a sweep", async || reached("swept_sessions_total{what=\"ended\"}")).await;
        db.sql("UPDATE sessions SET ended_at = INSTANT(-3000000)");
        eventually("a sweep", async || reached("swept_sessions_total{what=\"deleted\"}")).await;
        assert!(reached("sweeps_total{end=\"done\"}"));
    });
}

#[test]
fn a_hundred_readiness_requests_share_one_check() {
    let (_db, server) = serve(&[]);
    let before = value(&metrics(&server), "readiness_checks_total");
    let begun = std::time::Instant::now();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let clients: Vec<Client> = (0..100).map(|_| server.client()).collect();
        let asking: Vec<_> = clients.into_iter().map(|mut client| scope.spawn(move || client.get("/readyz"))).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    // Each second allows one more check.
    let seconds = begun.elapsed().as_secs_f64().ceil();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let checks = value(&metrics(&server), "readiness_checks_total") - before;
    assert!((1.0..=1.0 + seconds).contains(&checks), "{checks} checks in {seconds} s");
}

#[test]
fn callers_who_hang_up_cause_no_extra_checks() {
    use std::io::Write as _;
    let (_db, server) = serve(&[]);
    let begun = std::time::Instant::now();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    }
    assert_eq!(server.client().get("/readyz").status, 200);
    let checks = value(&metrics(&server), "readiness_checks_total");
    assert!(checks <= begun.elapsed().as_secs_f64().ceil() + 1.0, "{checks} checks");
}

#[test]
fn readiness_tests_each_component_itself() {
    actix_web::rt::System::new().block_on(async {
        let (db, server) = serve(&[]);
        let mut client = server.client();
        let status_of = |answer: &Answer, name: &str| answer.json()["components"][name]["status"].clone();
        assert_eq!(client.get("/readyz").status, 200);
        db.sql("ALTER TABLE sessions RENAME TO elsewhere");
        let mut answer = client.get("/readyz");
        eventually("503", async || {
            answer = client.get("/readyz");
            answer.status == 503
        })
        .await;
        for name in ["sessionStore", "sessionRegeneration", "touch"] {
            assert_eq!(status_of(&answer, name), "down", "{answer:?}");
        }
        for name in ["pwa", "databasePool"] {
            assert_eq!(status_of(&answer, name), "ok", "{answer:?}");
        }
        db.sql("ALTER TABLE elsewhere RENAME TO sessions");
        eventually("200", async || client.get("/readyz").status == 200).await;
    });
}

fn metrics(server: &Served) -> String {
    let mut client: Client = server.client();
    let answer = client.get("/metrics");
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.body
}

/// The value of a sample; 0 if there is none.
fn value(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|one| one.strip_prefix("sessile_")?.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap_or_else(|error| panic!("{line} {value}: {error}")))
}

#[test]
fn the_root_has_an_icon_and_a_robots_txt() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let icon = client.get("/favicon.ico");
    assert_eq!(icon.status, 303);
    let icon = client.get(icon.header("location").unwrap());
    assert_eq!((icon.status, icon.header("content-type")), (200, Some("image/svg+xml; charset=utf-8")));
    let robots = client.get("/robots.txt");
    assert_eq!((robots.status, robots.body.as_str()), (200, "User-agent: *\nDisallow: /\n"));
}

//! Every log line contains its request's id, at every level.

use super::{KIM, raw, serve_process};

#[test]
fn a_warning_has_its_request_id_at_level_warn() {
    let (db, server) = serve_process(&[("SESSILE_LOG", "warn")]);
    let mut client = server.client();
    client.log_in(KIM);
    db.sql("ALTER TABLE sessions RENAME TO elsewhere");
    let answer = client.get("/api/session");
    assert_eq!(answer.status, 503);
    let id = answer.header("x-request-id").expect("a name");
    let (_, log) = server.stopped();
    // The client's Host differs from the public one. The server logs that once, for the first request.
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains("browser's Host header")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(id)), "{id}: {log}");
}

#[test]
fn json_lines_hold_the_request_too() {
    let (_db, server) = serve_process(&[("SESSILE_LOG_FORMAT", "json")]);
    let answer = server.client().get("/login");
    let id = answer.header("x-request-id").expect("a name");
    let (_, log) = server.stopped();
    let line = log.lines().find(|line| line.contains(id)).expect("a line of the request");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(
        (&line["span"]["id"], &line["status"], &line["span"]["path"]),
        (&id.into(), &200.into(), &"/login".into())
    );
}

#[test]
fn every_line_of_a_json_log_is_one_object() {
    let (db, server) = serve_process(&[("SESSILE_LOG_FORMAT", "json"), ("SESSILE_LOG", "debug")]);
    let mut client = server.client();
    client.log_in(KIM);
    client.try_log_in(KIM, "wrong\n{\"span\": 1}\npassword");
    client.get("/nowhere%0A%7B%22a%22:1%7D%00%22");
    raw::ask(&server, &[b"GET /login?%22%7D HTTP/1.1", b"Host: x", b"User-Agent: a\xffb\"}{"], b"");
    raw::ask(&server, &[b"GET / HTTP/9.9", b"Host: x"], b"");
    db.sql("ALTER TABLE sessions RENAME TO elsewhere");
    let failed = client.get("/api/session");
    assert_eq!((failed.status, client.get("/readyz").status), (503, 503));
    let id = failed.header("x-request-id").expect("a name").to_owned();
    let (code, log) = server.stopped();
    assert_eq!(code, Some(0));
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    assert!(lines.iter().all(|line| line.is_object() && line["timestamp"].is_string() && line["level"].is_string()));
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
    assert!(answered.len() >= 6 && answered.iter().all(|line| line["span"]["id"].is_string()), "{log}");
    let of_the_failed = lines.iter().filter(|line| line["span"]["id"] == id.as_str());
    assert!(of_the_failed.clone().any(|line| line["level"] == "WARN"), "{id}: {log}");
    assert!(of_the_failed.clone().any(|line| line["status"] == 503), "{id}: {log}");
}

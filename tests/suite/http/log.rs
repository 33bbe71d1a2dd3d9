//! The log names the request in each line, at every level.

use super::{KIM, serve};

#[test]
fn a_warning_names_its_request_when_nothing_less_is_logged() {
    let (db, server) = serve(&[("SESSILE_LOG", "warn")]);
    let mut client = server.client();
    client.log_in(KIM);
    db.sql("ALTER TABLE sessions RENAME TO elsewhere");
    let answer = client.get("/api/session");
    assert_eq!(answer.status, 503);
    let id = answer.header("x-request-id").expect("a name");
    let log = server.log();
    let lines: Vec<&str> = log.lines().collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(id)), "{id}: {log}");
}

#[test]
fn json_lines_hold_the_request_too() {
    let (_db, server) = serve(&[("SESSILE_LOG_FORMAT", "json")]);
    let answer = server.client().get("/login");
    let id = answer.header("x-request-id").expect("a name");
    let log = server.log();
    let line = log.lines().find(|line| line.contains(id)).expect("a line of the request");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(
        (&line["span"]["id"], &line["status"], &line["span"]["path"]),
        (&id.into(), &200.into(), &"/login".into())
    );
}

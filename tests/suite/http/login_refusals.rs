//! A refused login never reveals the reason.

use serde_json::{Value, json};

use super::{ALEX, KIM, serve, trail};
use crate::support::{Answer, Client, PASSWORD, add_user};

#[test]
fn a_refusal_does_not_reveal_what_was_wrong() {
    let (db, server) = serve(&[]);
    let kim = db.sql("SELECT id FROM accounts");
    let alex = add_user(&db, ALEX, "member");
    db.sql(&format!("UPDATE accounts SET disabled_at = INSTANT(-10) WHERE id = '{alex}'"));
    let cases = [
        (KIM, "a wrong password", json!(kim)),
        ("nobody@example.com", PASSWORD, json!("")),
        (ALEX, PASSWORD, json!(alex)),
        (ALEX, "a wrong password", json!(alex)),
    ];
    let (mut by_api, mut by_form) = (Vec::new(), Vec::new());
    for (email, password, account) in &cases {
        let answer = server.client().try_log_in(email, password);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid-credentials"), "{answer:?}");
        assert_failure(&trail(&db), account);
        by_api.push(told(&answer, email));

        let answer = log_in(&mut server.client(), email, password);
        assert_eq!((answer.status, answer.sets("aiq_session")), (401, None), "{answer:?}");
        assert_failure(&trail(&db), account);
        by_form.push(told(&answer, email));
    }
    assert!(by_api.windows(2).all(|pair| pair[0] == pair[1]), "{by_api:#?}");
    assert!(by_form.windows(2).all(|pair| pair[0] == pair[1]), "{by_form:#?}");
    assert_eq!(trail(&db).iter().filter(|event| event["kind"] == "login.failed").count(), 8);
}

#[test]
fn a_failed_login_to_no_account_stores_no_email_address() {
    let (db, server) = serve(&[]);
    server.client().try_log_in("nobody@example.com", "what they typed");
    let event = format!("{:?}", trail(&db).pop());
    assert!(!event.contains("nobody@example.com") && !event.contains("what they typed"), "{event}");
}

fn log_in(client: &mut Client, email: &str, password: &str) -> Answer {
    let csrf = client.form_token("/login");
    client.form("/login", &[("csrf", &csrf), ("email", email), ("password", password)])
}

/// The whole answer, except the parts that differ between any two answers.
fn told(answer: &Answer, email: &str) -> (Vec<String>, String) {
    let mut body = answer.body.replace(email, "EMAIL");
    let id = answer.header("x-request-id").expect("a name");
    body = body.replace(id, "ID");
    if answer.body.contains("csrf") {
        body = body.replace(&answer.form_token(), "TOKEN");
    }
    let passing = ["x-request-id", "date", "content-length"];
    let headers = answer.headers.iter().filter(|(name, _)| !passing.contains(&name.as_str()));
    let mut headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value}")).collect();
    headers.sort();
    (headers, body)
}

fn assert_failure(trail: &[Value], account: &Value) {
    let last = trail.last().expect("an event");
    let expected = json!({
        "kind": "login.failed", "account": account, "actor": "visitor", "session": null, "device": null,
        "deviceName": null, "ip": "127.0.0.1", "detail": null,
    });
    assert_eq!(*last, expected);
}

//! The answer to a login, and its effect on an earlier session.

use serde_json::{Value, json};
use sessile::base::keys::Keys;

use super::{ALEX, KIM, assert_ended, assert_unharmed, count, log_in_by_form, serve, serve_process, session_id, text};
use crate::support::{PASSWORD, add_user};

const DATA: &str = "/api/session/data";

#[test]
fn a_login_changes_the_id_and_keeps_the_same_persons_data() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    client.json("PATCH", DATA, &json!({"cart": [1, 2]}));
    let mut ids = vec![session_id(&mut client)];
    for by_form in [false, true, false] {
        let mut old = client.clone();
        if by_form {
            let again = client.form_token("/dashboard");
            let fields = [("csrf", again.as_str()), ("email", KIM), ("password", PASSWORD)];
            assert_eq!(client.form("/login", &fields).status, 303);
        } else {
            client.log_in(KIM);
        }
        ids.push(session_id(&mut client));
        assert_ne!(client.cookies["aiq_session"], old.cookies["aiq_session"]);
        assert_eq!(client.get(DATA).json(), json!({"cart": [1, 2]}));
        assert_ended(&old.get("/api/session"), "unknown");
        assert_eq!(old.json("PATCH", DATA, &json!({"cart": null})).status, 401);
        assert_eq!(old.get("/dashboard").status, 303);
    }
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count(&db, "sessions")), (4, 1), "one session with four ids: {ids:?}");
    assert_eq!(client.get(DATA).json(), json!({"cart": [1, 2]}));
}

#[test]
fn another_persons_login_ends_the_session_and_its_data() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    for by_form in [false, true] {
        let mut client = server.client();
        client.log_in(KIM);
        client.json("PATCH", DATA, &json!({"of": "kim"}));
        let mut old = client.clone();
        if by_form {
            let again = client.form("/login", &[("email", ALEX)]).form_token();
            let fields = [("csrf", again.as_str()), ("email", ALEX), ("password", PASSWORD)];
            assert_eq!(client.form("/login", &fields).status, 303);
        } else {
            client.log_in(ALEX);
        }
        assert_eq!(client.get("/api/session").json()["user"]["email"], ALEX);
        assert_eq!(client.get(DATA).json(), json!({}));
        assert_ended(&old.get("/api/session"), "replaced");
        assert!(old.get("/login").body.contains("Somebody else signed in here"));
        client.log_in(KIM);
        assert_eq!(client.get(DATA).json(), json!({}), "the data does not come back");
    }
}

#[test]
fn a_wrong_password_leaves_the_session_as_it_is() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let mut client = server.client();
    client.log_in(KIM);
    let key = client.cookies["aiq_session"].clone();
    for email in [KIM, ALEX, "nobody@example.com"] {
        assert_eq!(client.try_log_in(email, "a wrong password").status, 401);
    }
    assert_eq!(client.cookies["aiq_session"], key);
    assert_eq!(client.get("/api/session").json()["user"]["email"], KIM);
}

#[test]
fn an_id_chosen_by_a_client_is_never_adopted() {
    let (db, server) = serve(&[]);
    let keys = Keys::read_or_make(std::path::Path::new(&db.key_file())).expect("keys");
    let key = format!("aiq_1795460400123_{}.{}", "a".repeat(22), "b".repeat(43));
    let signed = keys.sign_cookie("aiq_session", key.clone()).encoded().to_string();
    let brought = ["mine".to_owned(), key.clone(), signed.split_once('=').expect("a pair").1.to_owned()];
    for cookie in brought {
        let mut client = server.client();
        client.cookies.insert("aiq_session".into(), cookie.clone());
        assert_ended(&client.get("/api/session"), "unknown");
        assert_eq!(client.json("PATCH", DATA, &json!({"a": 1})).status, 401);
        let page = client.get("/login");
        assert_eq!((page.status, page.sets("aiq_session")), (200, None));
        assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 0);
        let id = text(&client.log_in(KIM).json()["session"]["id"]);
        assert!(client.cookies["aiq_session"] != cookie && !id.contains(&"a".repeat(22)), "{id}");
        client.json("DELETE", "/api/session", &json!(null));
    }
    assert_eq!(count(&db, &format!("sessions WHERE id = '{}'", key.split('.').next().expect("an id"))), 0);
}

#[test]
fn forty_logins_in_a_row_all_pass() {
    let (_db, server) = serve_process(&[]);
    for login in 0..40 {
        let answer = match login % 2 {
            0 => log_in_by_form(&mut server.client(), KIM, ""),
            _ => server.client().log_in(KIM),
        };
        assert!(matches!(answer.status, 200 | 303), "{answer:?}");
    }
    assert_unharmed(&server);
}

#[test]
fn several_sessions_of_one_account_live_side_by_side() {
    let (_db, server) = serve(&[]);
    let (mut one, mut other) = (server.client(), server.client());
    one.log_in(KIM);
    other.log_in(&KIM.to_uppercase());
    assert_ne!(session_id(&mut one), session_id(&mut other));
    one.json("DELETE", "/api/session", &json!(null));
    assert_eq!((one.get("/api/session").status, other.get("/api/session").status), (401, 200));
}

#[test]
fn the_answer_to_a_login_follows_the_contract() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0";
    let body = json!({"email": "KIM@Example.com", "password": PASSWORD, "device": {"name": "Desk", "installed": true}});
    let headers = [("Content-Type", "application/json"), ("User-Agent", agent)];
    let login = client.send("POST", "/api/establish-session", &headers, body.to_string().as_bytes());
    assert_eq!((login.status, login.header("content-type")), (200, Some("application/json")), "{login:?}");
    let shown = client.get("/api/session").json();
    assert_eq!(login.json(), shown);
    let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&shown), ["session", "user"]);
    assert_eq!(names(&shown["user"]), ["email", "id", "name", "role"]);
    let session = ["aal", "absoluteExpiresAt", "amr", "client", "createdAt", "current", "deviceId", "deviceName"];
    assert_eq!(names(&shown["session"])[..8], session);
    assert_eq!(names(&shown["session"])[8..], ["expiresAt", "id", "ip", "lastActivity"]);
    assert_eq!((&shown["session"]["aal"], &shown["session"]["amr"]), (&json!(1), &json!(["pwd"])));
    assert_eq!(shown["user"]["role"], "owner");
    assert_eq!(shown["session"]["deviceName"], "Desk");
    let client = json!({"browser": "Firefox", "os": "Linux", "kind": "desktop", "installed": true});
    assert_eq!(shown["session"]["client"], client);
    assert_eq!((&shown["session"]["current"], &shown["session"]["ip"]), (&json!(true), &json!("127.0.0.1")));
}

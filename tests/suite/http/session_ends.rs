//! The ways in which a session ends, and the reason that its browser receives.

use serde_json::Value;

use super::{KIM, assert_ended, serve, session_id};
use crate::support::{Answer, Client, Served, sessile};

#[test]
fn a_logout_removes_the_cookie_and_ends_the_session() {
    let (db, server) = serve(&[]);
    let by_form = |client: &mut Client| {
        let token = client.form_token("/dashboard");
        let answer = client.form("/logout", &[("csrf", &token)]);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/login?done=signed-out")), "{answer:?}");
        answer
    };
    let by_api = |client: &mut Client| {
        let answer = client.json("DELETE", "/api/session", &Value::Null);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{answer:?}");
        answer
    };
    let ways: [&dyn Fn(&mut Client) -> Answer; 2] = [&by_form, &by_api];
    for log_out in ways {
        let mut client = server.client();
        client.log_in(KIM);
        let id = session_id(&mut client);
        let mut old = client.clone();
        let answer = log_out(&mut client);
        assert_eq!(answer.header("clear-site-data"), Some("\"cache\""), "{answer:?}");
        assert!(!client.cookies.contains_key("aiq_session"), "{answer:?}");
        assert_eq!(client.get("/api/session").problem(), "login-required");
        assert_ended(&old.get("/api/session"), "logged-out");
        assert_ended(&old.json("DELETE", "/api/session", &Value::Null), "logged-out");
        assert_ended(&old.json("PATCH", "/api/session/data", &serde_json::json!({})), "logged-out");
        let page = old.get("/dashboard");
        assert_eq!((page.status, page.header("location")), (303, Some("/login?next=%2Fdashboard")), "{page:?}");
        assert_eq!(page.header("set-cookie"), None, "its cookie stays until the next login or logout: {page:?}");
        assert_eq!(db.sql(&format!("SELECT ended_reason FROM sessions WHERE id = '{id}'")), "logged-out");

        let gone = old.form("/logout", &[]);
        assert_eq!((gone.status, gone.header("location")), (303, Some("/login?done=signed-out")), "{gone:?}");
        assert!(!old.cookies.contains_key("aiq_session"), "the cookie is removed then: {gone:?}");
    }
}

#[test]
fn the_login_says_that_a_person_has_signed_out() {
    const NOTICE: &str = "You are signed out.";
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let token = client.form_token("/dashboard");
    let answer = client.form("/logout", &[("csrf", &token)]);
    assert!(client.get(answer.header("location").expect("an address")).body.contains(NOTICE));
    for other in ["/login", "/login?done=", "/login?done=x", "/login?next=%2Fdashboard"] {
        assert!(!client.get(other).body.contains(NOTICE), "{other}");
    }
    client.log_in(KIM);
    assert_eq!(client.get("/login?done=signed-out").header("location"), Some("/dashboard"));
}

#[test]
fn a_browser_without_a_session_is_sent_to_the_login() {
    let (_db, server) = serve(&[]);
    let mut visitor = server.client();
    assert_eq!(visitor.get("/api/session").problem(), "login-required");
    assert_eq!(visitor.get("/api/session/data").problem(), "login-required");
    assert_eq!(visitor.json("DELETE", "/api/session", &Value::Null).problem(), "login-required");
    let made_up = [
        "x".to_owned(),
        String::new(),
        format!("aiq_1795460400123_{}.{}", "a".repeat(22), "b".repeat(43)),
        format!("{}aiq_1795460400123_{}.{}", "c".repeat(44), "a".repeat(22), "b".repeat(43)),
    ];
    for value in made_up {
        let mut client = server.client();
        client.cookies.insert("aiq_session".into(), value.clone());
        assert_ended(&client.get("/api/session"), "unknown");
        let page = client.get("/dashboard?a=1");
        assert_eq!((page.status, page.header("location")), (303, Some("/login?next=%2Fdashboard%3Fa%3D1")), "{page:?}");
        assert_eq!(client.get("/").header("location"), Some("/login"));
    }
}

#[test]
fn the_reason_needs_the_sessions_secret() {
    let (db, server) = serve(&[]);
    let signed_in = |server: &Served| {
        let mut client = server.client();
        client.log_in(KIM);
        client
    };
    let mut expired = signed_in(&server);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-259300), expires_at = INSTANT(-100)");
    assert_ended(&expired.get("/api/session"), "expired");
    assert!(expired.get("/login").body.contains("You have not been here for a while"));
    assert!(sessile(&db, &["prune"], "").status.success());
    assert_ended(&expired.get("/api/session"), "expired");

    let mut absolute = signed_in(&server);
    db.sql("UPDATE sessions SET expires_at = INSTANT(-1), absolute_expires_at = INSTANT(-1) WHERE ended_at IS NULL");
    assert_ended(&absolute.get("/api/session"), "expired");

    let mut revoked = signed_in(&server);
    let id = session_id(&mut revoked);
    assert!(sessile(&db, &["session", "revoke", &id], "").status.success());
    assert_ended(&revoked.get("/api/session"), "revoked");
    assert!(revoked.get("/login").body.contains("You were signed out"));

    let mut changed = signed_in(&server);
    let args = ["user", "set-password", "--password-stdin", KIM];
    assert!(sessile(&db, &args, "another horse battery staple").status.success());
    assert_ended(&changed.get("/api/session"), "revoked");
}

#[test]
fn every_page_that_needs_a_login_has_a_button_that_signs_out() {
    let (_db, server) = serve(&[]);
    for path in ["/dashboard", "/account", "/confirm"] {
        assert_eq!(server.client().get(path).status, 303, "{path} needs a login");
        let mut client = server.client();
        client.log_in(KIM);
        let page = client.get(path);
        let (_, form) = page.body.split_once("action=\"/logout\"").unwrap_or_else(|| panic!("{path}: {page:?}"));
        let (form, _) = form.split_once("</form>").expect("its end");
        assert!(form.contains("Sign out"), "{path}: {form}");
        let (_, token) = form.split_once("name=\"csrf\" value=\"").expect("a token");
        let answer = client.form("/logout", &[("csrf", token.split('"').next().unwrap())]);
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/login?done=signed-out")),
            "{path}: {answer:?}"
        );
        assert_eq!(client.get(path).status, 303, "{path} needs a login again");
    }
}

#[test]
fn a_wrong_secret_gets_no_reason() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let id = session_id(&mut client);
    let keys = sessile::base::keys::Keys::read_or_make(std::path::Path::new(&db.key_file())).unwrap();
    let signed = keys.sign_cookie("aiq_session", format!("{id}.{}", "a".repeat(43)));
    let mut guess = server.client();
    guess.cookies.insert("aiq_session".into(), signed.encoded().to_string().split_once('=').unwrap().1.to_owned());
    assert_ended(&guess.get("/api/session"), "unknown");
    client.json("DELETE", "/api/session", &Value::Null);
    assert_ended(&guess.get("/api/session"), "unknown");
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'session.used-after-end'"), "0");
}

#[test]
fn a_login_works_over_an_ended_session_and_replaces_its_cookie() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let ended = client.cookies.clone();
    client.json("DELETE", "/api/session", &Value::Null);
    client.cookies = ended.clone();
    client.log_in(KIM);
    assert_ne!(client.cookies["aiq_session"], ended["aiq_session"]);
    assert_eq!(client.get("/api/session").status, 200);
    let mut old = server.client();
    old.cookies = ended;
    assert_ended(&old.get("/api/session"), "logged-out");
}

//! A form that is refused is shown again with what was typed, but without passwords.

use super::{ALEX, KIM, log_in_by_form, serve, session_id};
use crate::support::{Answer, Client, PASSWORD, add_user};

const NEXT: &str = "/dashboard?week=2#end";

#[test]
fn a_form_with_a_foreign_token_is_shown_again() {
    let (db, server) = serve(&[]);
    let stranger = server.client().form_token("/login");
    let mut signed_in = server.client();
    signed_in.log_in(KIM);
    let of_session = signed_in.form_token("/dashboard");
    let before = db.sql("SELECT count(*) FROM audit");
    let mut client = server.client();
    client.get("/login");
    for token in [Some(stranger.as_str()), Some(&of_session), Some(""), Some("x"), None] {
        let answer = send(&mut client, token);
        assert_shown_again(&answer, 422);
        assert_eq!(db.sql("SELECT count(*) FROM audit"), before, "no password was checked");
    }
    let fresh = send(&mut client, None).form_token();
    let answer = send(&mut client, Some(&fresh));
    assert_eq!((answer.status, answer.header("location")), (303, Some(NEXT)), "{answer:?}");
}

#[test]
fn a_form_without_its_visitor_cookie_works_the_second_time() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let token = client.form_token("/login");
    client.cookies.clear();
    let again = send(&mut client, Some(&token));
    assert_shown_again(&again, 422);
    assert!(again.sets("aiq_visitor").is_some(), "{again:?}");
    assert!(again.body.contains("Allow cookies for this site"), "{again:?}");
    assert_eq!(send(&mut client, Some(&again.form_token())).status, 303);
}

#[test]
fn a_visitor_token_is_bound_to_the_cookie_of_its_own_browser() {
    let (_db, server) = serve(&[]);
    let (mut one, mut other) = (server.client(), server.client());
    let token = one.form_token("/login");
    other.get("/login");
    // A token or a cookie of the attacker's own pair does not help without the other.
    assert_shown_again(&send(&mut other, Some(&token)), 422);
    other.cookies.insert("aiq_visitor".into(), "x".repeat(23));
    assert_shown_again(&send(&mut other, Some(&token)), 422);
    assert_eq!(send(&mut one, Some(&token)).status, 303);
}

#[test]
fn a_second_login_tab_continues_after_the_first() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let mut client = server.client();
    let token = client.form_token("/login");
    client.log_in(KIM);
    let id = session_id(&mut client);
    let sent = send(&mut client, Some(&token));
    assert_eq!((sent.status, sent.header("location")), (303, Some(NEXT)), "{sent:?}");
    assert_eq!(session_id(&mut client), id, "nothing else was done");
    assert_eq!(client.get("/login?next=%2Faccount").header("location"), Some("/account"));
    // Another person at this browser reads who has signed in meanwhile.
    let fields = [("csrf", token.as_str()), ("email", ALEX), ("password", PASSWORD)];
    let other = client.form("/login", &fields);
    assert!(other.status == 422 && other.body.contains("Kim Lee has signed in here in the meantime"), "{other:?}");
    assert!(other.body.contains(&format!("value=\"{ALEX}\"")) && !other.body.contains(PASSWORD), "{other:?}");
    let fields = [("csrf", other.form_token()), ("email", ALEX.into()), ("password", PASSWORD.into())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(client.form("/login", &fields).status, 303);
    assert_eq!(client.get("/api/session").json()["user"]["email"], ALEX);
}

/// Every form is sent without a cookie, although each answer sets one.
#[test]
fn a_browser_without_cookies_gets_an_explanation() {
    let (_db, server) = serve(&[("SESSILE_SIGNUP", "open")]);
    for (path, words) in [("/login", "Please sign in again"), ("/signup", "Please choose your password again")] {
        let mut client = server.client();
        let mut token = client.form_token(path);
        for _ in 0..2 {
            client.cookies.clear();
            let fields = [("csrf", token.as_str()), ("email", KIM), ("password", PASSWORD)];
            let again = client.form(path, &fields);
            assert!(again.status == 422 && again.body.contains("Allow cookies for this site"), "{path}: {again:?}");
            assert!(!again.body.contains(words), "{path}");
            token = again.form_token();
        }
        let fields = [("csrf", "stale"), ("email", KIM), ("password", PASSWORD)];
        assert!(client.form(path, &fields).body.contains(words), "with cookies it is a stale page");
    }
}

#[test]
fn a_page_opened_before_a_confirmation_still_works() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let token = client.form_token("/account");
    for _ in 0..3 {
        let confirmed = [("csrf", client.form_token("/confirm")), ("password", PASSWORD.into())];
        let confirmed = confirmed.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(client.form("/confirm", &confirmed).status, 303);
        assert_eq!(client.get("/dashboard").status, 200);
    }
    let renamed = client.form("/account", &[("csrf", &token), ("name", "Kim Lee")]);
    assert_eq!(renamed.status, 303, "{renamed:?}");
    let out = client.form("/logout", &[("csrf", &token)]);
    assert_eq!((out.status, out.header("location")), (303, Some("/login?done=signed-out")), "{out:?}");
    assert_eq!(client.get("/api/session").status, 401);
}

#[test]
fn a_sign_out_with_a_stale_token_asks_once_more() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let mut client = server.client();
    client.log_in(KIM);
    let stale = client.form_token("/dashboard");
    client.log_in(KIM);
    let mut other = server.client();
    other.log_in(ALEX);
    let of_alex = other.form_token("/dashboard");
    for token in [stale.as_str(), &of_alex, ""] {
        let again = client.form("/logout", &[("csrf", token)]);
        assert_eq!(again.status, 422, "{again:?}");
        assert!(again.body.contains("Sign out?") && again.body.contains("action=\"/logout\""), "{again:?}");
        assert_eq!(again.header("clear-site-data"), None);
        assert_eq!(client.get("/api/session").status, 200, "still signed in");
    }
    let fresh = client.form("/logout", &[("csrf", &stale)]).form_token();
    let out = client.form("/logout", &[("csrf", &fresh)]);
    assert_eq!((out.status, out.header("location")), (303, Some("/login?done=signed-out")), "{out:?}");
    assert_eq!(client.get("/api/session").status, 401);
}

#[test]
fn a_wrong_password_keeps_the_other_fields() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let token = client.form_token("/login");
    let fields = [("csrf", token.as_str()), ("email", KIM), ("password", "a wrong password 1"), ("next", NEXT)];
    let answer = client.form("/login", &fields);
    assert_shown_again(&answer, 401);
    assert!(!answer.body.contains("a wrong password 1"), "{answer:?}");
    assert_eq!(answer.sets("aiq_session"), None);
}

#[test]
fn input_is_escaped_when_shown_again() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let token = client.form_token("/login");
    let typed = "\"><script>alert(1)</script>'&";
    let fields = [("csrf", token.as_str()), ("email", typed), ("password", PASSWORD), ("next", "/a?\"><b>")];
    let answer = client.form("/login", &fields);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(!answer.body.contains("<script>alert") && !answer.body.contains("><b>"), "{answer:?}");
    assert!(answer.body.contains("alert(1)"), "the input is kept: {answer:?}");
}

#[test]
fn a_login_without_address_or_password_is_shown_again() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    let token = client.form_token("/login");
    let before = db.sql("SELECT count(*) FROM audit");
    for (email, password) in [("", PASSWORD), ("kim", PASSWORD), (KIM, ""), ("", "")] {
        let fields = [("csrf", token.as_str()), ("email", email), ("password", password)];
        let answer = client.form("/login", &fields);
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.body.contains("aria-invalid") && !answer.body.contains(PASSWORD), "{answer:?}");
    }
    assert_eq!(db.sql("SELECT count(*) FROM audit"), before);
}

#[test]
fn a_page_at_a_wrong_host_links_to_the_right_one() {
    let (_db, server) = serve(&[]);
    let right = format!("localhost:{}", server.port);
    let says = "opened under another address";
    let mut client = server.client();
    let page = client.send("GET", "/login?next=%2Fdashboard", &[("Host", "other.example")], b"");
    let link = format!("href=\"http://{right}/login?next=%2Fdashboard\"");
    assert!(page.status == 200 && page.body.contains(says) && page.body.contains(&link), "{page:?}");
    let page = client.send("GET", "/login", &[("Host", &right)], b"");
    assert!(page.status == 200 && !page.body.contains(says), "{page:?}");
    let missing = client.send("GET", "/nothing", &[("Host", "\"><b>.example")], b"");
    assert!(missing.status == 404 && !missing.body.contains("<b>.example"), "{missing:?}");
    assert_eq!(log_in_by_form(&mut client, KIM, "").status, 303);
    let home = client.send("GET", "/dashboard", &[("Host", "127.0.0.1")], b"");
    assert!(home.body.contains(&format!("href=\"http://{right}/dashboard\"")), "{home:?}");
}

fn send(client: &mut Client, token: Option<&str>) -> Answer {
    let mut fields = vec![("email", KIM), ("password", PASSWORD), ("next", NEXT)];
    fields.extend(token.map(|token| ("csrf", token)));
    client.form("/login", &fields)
}

fn assert_shown_again(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    let kept = [format!("value=\"{KIM}\""), format!("name=\"next\" value=\"{NEXT}\"")];
    assert!(kept.iter().all(|one| answer.body.contains(one)), "{kept:?} in {answer:?}");
    assert!(!answer.body.contains(PASSWORD), "{answer:?}");
    assert_eq!(answer.sets("aiq_session"), None, "{answer:?}");
}

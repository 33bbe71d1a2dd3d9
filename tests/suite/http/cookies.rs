//! The cookies: their names, their attributes, and when they are set.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{ALEX, KIM, log_in_by_form, parts_of, serve, serve_https, text};
use crate::support::{Answer, Client, PASSWORD, Served, TestDb, add_user, eventually};

/// Three days.
const IDLE: &str = "Max-Age=259200";
/// 400 days.
const DEVICE: &str = "Max-Age=34560000";

#[test]
fn cookies_on_http_follow_the_contract() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let visit = client.get("/login");
    assert_attributes(&visit, "aiq_visitor", &["HttpOnly", "SameSite=Strict", "Path=/"]);
    assert_eq!(visit.all("set-cookie").count(), 1, "{visit:?}");
    let again = client.get("/login");
    assert_eq!(again.header("set-cookie"), None, "a visitor's cookie is kept: {again:?}");

    let by_form = log_in_by_form(&mut client, KIM, "");
    assert_eq!(by_form.status, 303, "{by_form:?}");
    let by_api = server.client().log_in(KIM);
    for answer in [&by_form, &by_api] {
        assert_attributes(answer, "aiq_session", &["HttpOnly", "SameSite=Strict", "Path=/", IDLE]);
        assert_attributes(answer, "aiq_device", &["HttpOnly", "SameSite=Strict", "Path=/", DEVICE]);
        assert_eq!(answer.all("set-cookie").count(), 2, "{answer:?}");
        assert_eq!(answer.header("strict-transport-security"), None);
    }
    let gone = client.json("DELETE", "/api/session", &Value::Null);
    assert_eq!(gone.status, 204, "{gone:?}");
    let removal = gone.sets("aiq_session").expect("a removal");
    assert!(
        removal.starts_with(&format!("{}=;", server.cookie("aiq_session"))) && removal.contains("Max-Age=0"),
        "{removal}"
    );
    assert!(client.cookies.contains_key("aiq_device"), "the device's cookie survives the logout");
}

#[test]
fn cookies_on_https_are_secure_and_host_only() {
    let (_db, _server, mut client) = serve_https(&[("SESSILE_IDLE_TTL", "2h")]);
    let visit = client.get("/login");
    assert_attributes(&visit, "__Host-aiq_visitor", &["HttpOnly", "SameSite=Strict", "Path=/", "Secure"]);
    let answer = log_in_by_form(&mut client, KIM, "");
    let session = ["HttpOnly", "SameSite=Strict", "Path=/", "Secure", "Max-Age=7200"];
    assert_attributes(&answer, "__Host-aiq_session", &session);
    assert_attributes(&answer, "__Host-aiq_device", &["HttpOnly", "SameSite=Strict", "Path=/", "Secure", DEVICE]);

    let shown = client.get("/api/session");
    let session = &shown.json()["session"];
    assert_eq!(instant(&session["expiresAt"]).duration_since(instant(&session["lastActivity"])).as_secs(), 7200);
    for answer in [&visit, &answer, &shown] {
        let year = Some("max-age=31536000; includeSubDomains");
        assert_eq!(answer.header("strict-transport-security"), year, "{answer:?}");
        assert!(answer.all("set-cookie").all(|cookie| cookie.starts_with("__Host-")), "{answer:?}");
    }

    let gone = client.json("DELETE", "/api/session", &Value::Null);
    let removal = gone.sets("__Host-aiq_session").expect("a removal");
    // A browser ignores a `__Host-` cookie, even a removal, that is not Secure or not for `/`.
    let attributes = attributes(removal);
    assert!(attributes.contains("Secure") && attributes.contains("Path=/"), "{removal}");
    assert!(attributes.contains("Max-Age=0"), "{removal}");
}

#[test]
fn the_session_cookie_holds_the_key_whose_id_the_api_shows() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    let id = text(&client.log_in(KIM).json()["session"]["id"]);
    let (_, held, secret) = parts_of(&client.cookies["aiq_session"]);
    let random = id.strip_prefix("aiq_").and_then(|rest| rest.split_once('_')).expect("an id").1;
    assert_eq!((held.as_str(), random.len(), secret.len()), (id.as_str(), 22, 43));
    assert_eq!(db.sql("SELECT id FROM sessions"), id);
    let account = db.sql("SELECT account_id FROM sessions");
    assert!(
        client.cookies["aiq_session"]
            .contains(&format!("{id}.{}.{secret}", account.strip_prefix("acc_").expect("an id")))
    );
    assert_eq!(db.sql("SELECT hex(secret_hash) FROM sessions").len(), 64, "SHA-256");
    assert_eq!(client.cookies["aiq_device"].len(), 22, "128 bits");
}

#[test]
fn the_first_request_after_a_touch_interval_renews_the_cookie() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let key = client.cookies["aiq_session"].clone();
    let quiet = client.get("/api/session");
    assert_eq!(quiet.header("set-cookie"), None, "no touch is due yet: {quiet:?}");

    db.sql("UPDATE sessions SET last_activity = INSTANT(-100), expires_at = INSTANT(259100)");
    let touched = client.get("/api/session");
    let renewed = touched.sets("aiq_session").expect("the cookie again");
    assert_attributes(&touched, "aiq_session", &["HttpOnly", "SameSite=Strict", "Path=/", IDLE]);
    assert!(
        renewed.starts_with(&format!("{}={key};", server.cookie("aiq_session"))),
        "the value is the same: {renewed}"
    );
    let shown = activity(&touched);
    let stored = activity(&quiet);
    assert!(shown.0 >= stored.0 && shown.1 >= stored.1, "{shown:?} {stored:?}");
    assert_eq!(shown.1.duration_since(shown.0).as_secs(), 259_200);

    let next = client.get("/api/session");
    assert_eq!(next.header("set-cookie"), None, "{next:?}");
    assert_eq!(activity(&next), shown, "the API shows the queued activity");
    wait_for_flush(&db);
    let last = client.get("/api/session");
    assert_eq!((activity(&last), last.header("set-cookie")), (shown, None), "the API shows the written activity");
}

#[test]
fn a_page_counts_as_activity_and_the_login_page_does_not() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let age = "UPDATE sessions SET last_activity = INSTANT(-100), expires_at = INSTANT(259100)";
    db.sql(age);
    for quiet in ["/login", "/", "/healthz", "/nothing-here"] {
        assert_eq!(client.get(quiet).header("set-cookie"), None, "{quiet}");
    }
    let page = client.get("/dashboard");
    assert_attributes(&page, "aiq_session", &["HttpOnly", "SameSite=Strict", "Path=/", IDLE]);
}

#[test]
fn a_session_near_its_end_is_written_before_its_answer() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-100), expires_at = INSTANT(90)");
    let touched = client.get("/api/session");
    assert!(touched.sets("aiq_session").is_some(), "{touched:?}");
    assert_eq!(db.sql("SELECT 1 FROM sessions WHERE expires_at > INSTANT(259000)"), "1");
}

#[test]
fn activity_never_extends_the_absolute_end() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    db.sql(
        "UPDATE sessions SET last_activity = INSTANT(-100), expires_at = INSTANT(1000), \
         absolute_expires_at = INSTANT(5000)",
    );
    let session = client.get("/api/session").json()["session"].clone();
    assert_eq!(session["expiresAt"], session["absoluteExpiresAt"]);
}

/// Browsers share cookies between the ports of a host.
#[test]
fn the_port_of_the_public_origin_is_in_every_name() {
    let origins = [
        (None, "aiq_", None),
        (Some("http://id.example.com:8081"), "aiq_", Some("8081")),
        (Some("http://[::1]:8081"), "aiq_", Some("8081")),
        (Some("http://[fd00::1]"), "aiq_", None),
        (Some("http://id.example.com:80"), "aiq_", None),
        (Some("https://id.example.com:8443"), "__Host-aiq_", Some("8443")),
        (Some("https://id.example.com:443"), "__Host-aiq_", None),
    ];
    for (origin, prefix, port) in origins {
        let more: Vec<_> = origin.map(|origin| ("SESSILE_PUBLIC_URL", origin)).into_iter().collect();
        let (_db, server) = serve(&more);
        let own = server.port.to_string();
        let port = if origin.is_none() { Some(own.as_str()) } else { port };
        let own_origin = format!("http://localhost:{own}");
        // The origin in the form that a browser sends.
        let origin = origin.map_or(own_origin.as_str(), |one| one.trim_end_matches(":80").trim_end_matches(":443"));
        let mut client = Client::new(&server.address, origin);
        let bounce = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
        let answers = [
            client.clone().send("GET", "/dashboard", &bounce, b""),
            client.get("/login"),
            log_in_by_form(&mut client, KIM, ""),
            client.json("DELETE", "/api/session", &Value::Null),
        ];
        let names: BTreeSet<&str> = answers
            .iter()
            .flat_map(|answer| answer.all("set-cookie"))
            .filter_map(|cookie| cookie.split('=').next())
            .collect();
        let port = port.map(|port| format!("_{port}")).unwrap_or_default();
        let expected = ["bounce", "device", "session", "visitor"].map(|name| format!("{prefix}{name}{port}"));
        assert_eq!(names.into_iter().collect::<Vec<_>>(), expected, "{origin:?}");
    }
}

/// Versions that did not add the port to the name set `aiq_session`.
#[test]
fn a_session_under_the_old_name_lives_on_under_the_new_one() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    let device = client.log_in(KIM).json()["session"]["deviceId"].clone();
    let old = old_jar(&client);

    let mut upgraded = server.client();
    let answer = upgraded.send("GET", "/api/session", &[("Cookie", &old)], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_attributes(&answer, "aiq_session", &["HttpOnly", "SameSite=Strict", "Path=/", IDLE]);
    assert_eq!(upgraded.cookies["aiq_session"], client.cookies["aiq_session"]);
    // An old node may still need the old cookie.
    assert_eq!(answer.all("set-cookie").count(), 1, "{answer:?}");
    let both = format!("{old}; {}={}", server.cookie("aiq_session"), client.cookies["aiq_session"]);
    let quiet = upgraded.send("GET", "/api/session", &[("Cookie", &both)], b"");
    assert_eq!((quiet.status, quiet.header("set-cookie")), (200, None), "{quiet:?}");

    // The next login keeps the device and removes the old session cookie.
    let again = serde_json::json!({"email": KIM, "password": PASSWORD}).to_string();
    let json = ("Content-Type", "application/json");
    let again = upgraded.send("POST", "/api/establish-session", &[("Cookie", &old), json], again.as_bytes());
    assert_eq!(again.json()["session"]["deviceId"], device, "{again:?}");
    assert!(removes_old(&again) && again.sets("aiq_session").is_some(), "{again:?}");
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), "1");
}

#[test]
fn a_logout_with_a_cookie_under_the_old_name_ends_the_session() {
    let (_db, server) = serve(&[]);
    for both in [false, true] {
        let mut client = server.client();
        client.log_in(KIM);
        let new = format!("{}={}", server.cookie("aiq_session"), client.cookies["aiq_session"]);
        let jar = if both { format!("{}; {new}", old_jar(&client)) } else { old_jar(&client) };
        let answer = client.clone().send("DELETE", "/api/session", &[("Cookie", &jar)], b"");
        assert!(answer.status == 204 && removes_old(&answer), "{answer:?}");
        assert!(answer.all("set-cookie").any(|cookie| cookie.starts_with(&new[..new.find('=').unwrap() + 1])));
        let told = client.send("GET", "/api/session", &[("Cookie", &jar)], b"");
        assert_eq!(told.json()["reason"], "logged-out", "{told:?}");
    }
}

#[test]
fn the_new_name_wins_over_another_instances_old_name() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let (mut kim, mut alex) = (server.client(), server.client());
    kim.log_in(KIM);
    alex.log_in(ALEX);
    let new = format!("{}={}", server.cookie("aiq_session"), kim.cookies["aiq_session"]);
    let both = format!("{}; {new}", old_jar(&alex));
    assert_eq!(kim.send("GET", "/api/session", &[("Cookie", &both)], b"").json()["user"]["email"], KIM);

    let (_other_db, other) = serve(&[]);
    let mut neighbour = other.client();
    neighbour.log_in(KIM);
    let foreign = old_jar(&neighbour);
    let token = kim.form_token("/dashboard");
    let body = format!("csrf={token}");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let beside = format!("{foreign}; {new}");
    let gone = kim.send("POST", "/logout", &[("Cookie", &beside), form], body.as_bytes());
    assert!(gone.status == 303 && gone.sets("aiq_session").is_some() && !removes_old(&gone), "{gone:?}");
    let alone = server.client().send("POST", "/logout", &[("Cookie", &foreign), form], b"csrf=x");
    assert!(!removes_old(&alone), "{alone:?}");
    assert_is_nobody(&server, &foreign);
}

/// A copy of an instance on the same host has the same key file.
#[test]
fn the_old_name_of_a_copy_of_this_instance_is_left_alone() {
    let (db, server) = serve(&[]);
    let key = db.key_file();
    let (_copys_db, copy) = serve(&[("SESSILE_KEY_FILE", &key)]);
    let mut neighbour = server.client();
    neighbour.log_in(KIM);
    let foreign = old_jar(&neighbour);
    assert_is_nobody(&copy, &foreign);
    let json = ("Content-Type", "application/json");
    let body = serde_json::json!({"email": KIM, "password": PASSWORD}).to_string();
    let begun = copy.client().send("POST", "/api/establish-session", &[("Cookie", &foreign), json], body.as_bytes());
    assert!(begun.sets("aiq_session").is_some() && !removes_old(&begun), "{begun:?}");
}

/// Checks that these cookies present no session.
fn assert_is_nobody(server: &Served, cookies: &str) {
    let asked = server.client().send("GET", "/api/session", &[("Cookie", cookies)], b"");
    assert_eq!((asked.status, asked.problem().as_str()), (401, "login-required"), "{asked:?}");
}

/// A sibling origin may plant a second cookie that we signed: that of the attacker's own session. Then no session is
/// opened.
#[test]
fn signing_out_with_several_keys_ends_the_session_of_each() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let name = server.cookie("aiq_session");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let json = ("Content-Type", "application/json");
    for way in ["form", "api", "goodbye"] {
        for (first, second, port) in [(KIM, ALEX, true), (ALEX, KIM, true), (ALEX, KIM, false)] {
            let (mut one, mut two) = (server.client(), server.client());
            one.log_in(first);
            two.log_in(second);
            let ids = [super::session_id(&mut one), super::session_id(&mut two)];
            let other = if port { name.as_str() } else { "aiq_session" };
            let jar = format!("{name}={}; {other}={}", one.cookies["aiq_session"], two.cookies["aiq_session"]);
            let jar = ("Cookie", jar.as_str());
            let mut both = server.client();
            if port {
                assert_eq!(both.send("GET", "/api/session", &[jar], b"").status, 401, "neither cookie counts");
            } else if way == "goodbye" {
                continue; // The session that lives names the ones to end itself.
            }
            let answer = match way {
                "form" => {
                    let csrf = if port { String::new() } else { one.form_token("/dashboard") };
                    both.send("POST", "/logout", &[jar, form], format!("csrf={csrf}").as_bytes())
                }
                "api" => both.send("DELETE", "/api/session", &[jar], b""),
                _ => {
                    let operation = |n: usize| {
                        let id = format!("0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a11{n}");
                        serde_json::json!({"id": id, "kind": "session.logout", "sessionId": ids[n]})
                    };
                    let body = serde_json::json!({"operations": [operation(0), operation(1)]}).to_string();
                    both.send("POST", "/api/session/sync", &[jar, json], body.as_bytes())
                }
            };
            assert_eq!(
                answer.status,
                if way == "form" {
                    303
                } else if way == "api" {
                    204
                } else {
                    401
                },
                "{answer:?}"
            );
            assert!(way == "goodbye" || answer.sets("aiq_session").is_some(), "{answer:?}");
            for (client, id) in [(&mut one, &ids[0]), (&mut two, &ids[1])] {
                assert_eq!(client.get("/api/session").json()["reason"], "logged-out", "{way} {port}");
                assert_eq!(db.sql(&format!("SELECT ended_reason FROM sessions WHERE id = '{id}'")), "logged-out");
            }
        }
    }
}

#[test]
fn signing_out_with_too_many_keys_is_refused() {
    let (db, server) = serve(&[]);
    let clients: Vec<Client> = (0..9)
        .map(|_| {
            let mut client = server.client();
            client.log_in(KIM);
            client
        })
        .collect();
    let pair = |client: &Client| format!("{}={}", server.cookie("aiq_session"), client.cookies["aiq_session"]);
    let jar = clients.iter().map(pair).collect::<Vec<_>>().join("; ");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let mut all = server.client();
    for answer in [
        all.send("POST", "/logout", &[("Cookie", &jar), form], b""),
        all.send("DELETE", "/api/session", &[("Cookie", &jar)], b""),
    ] {
        assert_eq!((answer.status, answer.sets("aiq_session")), (400, None), "{answer:?}");
    }
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), "9");
}

/// A client's cookies under the names without a port.
fn old_jar(client: &Client) -> String {
    format!("aiq_session={}; aiq_device={}", client.cookies["aiq_session"], client.cookies["aiq_device"])
}

fn removes_old(answer: &Answer) -> bool {
    answer.all("set-cookie").any(|cookie| cookie.starts_with("aiq_session=;") && cookie.contains("Max-Age=0"))
}

fn wait_for_flush(db: &TestDb) {
    actix_web::rt::System::new().block_on(eventually("the flush", async || {
        db.sql("SELECT count(*) FROM sessions WHERE last_activity > INSTANT(-60)") == "1"
    }));
}

fn activity(answer: &Answer) -> (Timestamp, Timestamp) {
    let session = &answer.json()["session"];
    (instant(&session["lastActivity"]), instant(&session["expiresAt"]))
}

/// Parses RFC 3339 in UTC with milliseconds. Panics on any other format.
fn instant(value: &Value) -> Timestamp {
    let text = text(value);
    assert!(text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.', "{text}");
    text.parse().expect("a time")
}

fn assert_attributes(answer: &Answer, name: &str, expected: &[&str]) {
    let cookie = answer.sets(name).unwrap_or_else(|| panic!("{name} in {answer:?}"));
    let expected: BTreeSet<String> = expected.iter().map(|one| (*one).to_owned()).collect();
    assert_eq!(attributes(cookie), expected, "{cookie}");
}

fn attributes(cookie: &str) -> BTreeSet<String> {
    cookie.split(';').skip(1).map(|one| one.trim().to_owned()).collect()
}

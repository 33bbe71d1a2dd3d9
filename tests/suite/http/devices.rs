//! The device cookie: the same browser counts as the same device next time, and no client can choose its secret.

use serde_json::{Value, json};

use super::{ALEX, KIM, count, kinds, serve, text, trail};
use crate::support::{Answer, PASSWORD, add_user};

fn device(answer: &Answer) -> String {
    text(&answer.json()["session"]["deviceId"])
}

#[test]
fn the_same_browser_is_the_same_device_after_a_logout() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    let first = client.log_in(KIM);
    let cookie = client.cookies["aiq_device"].clone();
    client.json("DELETE", "/api/session", &Value::Null);
    let second = client.log_in(KIM);
    assert_eq!(device(&second), device(&first));
    assert_ne!(client.cookies["aiq_device"], cookie, "a new secret at every sign-in");
    assert!(second.sets("aiq_device").is_some(), "its lifetime of 400 days begins again");
    let other = server.client().log_in(KIM);
    assert_ne!(device(&other), device(&first));
    assert_eq!(count(&db, "devices"), 2);
    assert_eq!(kinds(&trail(&db)).iter().filter(|kind| *kind == "device.new").count(), 2);
}

#[test]
fn a_made_up_device_cookie_is_replaced() {
    let (db, server) = serve(&[]);
    for made_up in ["a".repeat(22), "x".to_owned(), String::new(), "a".repeat(4000), "%00".to_owned()] {
        let mut client = server.client();
        client.cookies.insert("aiq_device".into(), made_up.clone());
        client.log_in(KIM);
        let kept = &client.cookies["aiq_device"];
        assert!(*kept != made_up && kept.len() == 22, "{kept}");
    }
    assert_eq!(count(&db, "devices"), 5);
}

#[test]
fn a_device_belongs_to_one_browser_and_one_account() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let mut client = server.client();
    let kim = client.log_in(KIM);
    client.json("DELETE", "/api/session", &Value::Null);
    let alex = client.log_in(ALEX);
    assert_ne!(device(&kim), device(&alex));
    client.json("DELETE", "/api/session", &Value::Null);
    assert_eq!(device(&client.log_in(KIM)), device(&kim), "each account finds its own device");
    client.json("DELETE", "/api/session", &Value::Null);
    assert_eq!(device(&client.log_in(ALEX)), device(&alex));
    assert_eq!(count(&db, "devices"), 2);
}

#[test]
fn accounts_of_one_browser_share_no_device_secret() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let mut kiosk = server.client();
    kiosk.log_in(ALEX);
    let copied = kiosk.cookies["aiq_device"].clone();
    kiosk.json("DELETE", "/api/session", &Value::Null);
    kiosk.log_in(KIM);
    let both = kiosk.cookies["aiq_device"].clone();
    assert!(both.ends_with(&copied) && both.len() == 45, "one secret per account: {both}");
    // The copied secret belongs to a device of Alex's, not of Kim's.
    let mut thief = server.client();
    thief.cookies.insert("aiq_device".into(), copied);
    thief.try_log_in(KIM, "a wrong password");
    assert_eq!(count(&db, "audit WHERE kind = 'login.failed' AND device_id IS NOT NULL"), 0);
    thief.log_in(KIM);
    assert_eq!(count(&db, "devices"), 3, "a new device of Kim's");
    let hashes = "(SELECT secret_hash FROM devices UNION SELECT previous_secret_hash FROM devices) h";
    assert_eq!(count(&db, &format!("{hashes} WHERE secret_hash IS NOT NULL")), 3);
}

#[test]
fn a_browser_keeps_the_devices_of_few_accounts() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    for n in 0..7 {
        let email = format!("person{n}@example.com");
        add_user(&db, &email, "member");
        client.log_in(&email);
        client.json("DELETE", "/api/session", &Value::Null);
    }
    assert_eq!(client.cookies["aiq_device"].split('.').count(), 5);
    client.log_in("person6@example.com");
    client.log_in("person3@example.com");
    assert_eq!(count(&db, "devices"), 7, "the devices are still known");
}

#[test]
fn a_device_cookie_alone_does_not_sign_in() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    client.cookies.remove("aiq_session");
    assert_eq!(client.get("/api/session").problem(), "login-required");
    client.cookies.insert("aiq_session".into(), client.cookies["aiq_device"].clone());
    assert_eq!(client.get("/api/session").problem(), "session-ended");
    client.cookies.remove("aiq_session");
    assert_eq!(client.try_log_in(KIM, "").status, 401);
}

#[test]
fn a_device_is_named_by_its_client_or_its_browser() {
    let (_db, server) = serve(&[]);
    let named = json!({"email": KIM, "password": PASSWORD, "device": {"name": "  Kim's desk  ", "installed": false}});
    let answer = server.client().json("POST", "/api/establish-session", &named);
    assert_eq!(answer.json()["session"]["deviceName"], "Kim's desk", "{answer:?}");
    let agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/17.4 Mobile/15E148 Safari/604.1";
    let unnamed = json!({"email": KIM, "password": PASSWORD}).to_string();
    let headers = [("Content-Type", "application/json"), ("User-Agent", agent)];
    let answer = server.client().send("POST", "/api/establish-session", &headers, unnamed.as_bytes());
    let session = &answer.json()["session"];
    assert_eq!((&session["deviceName"], &session["client"]["kind"]), (&json!("Safari on iPhone"), &json!("phone")));
}

#[test]
fn names_that_people_choose_are_text_in_a_page() {
    let (db, server) = serve(&[]);
    db.sql("UPDATE accounts SET name = '<script>alert(1)</script> Lee'");
    let named = json!({"email": KIM, "password": PASSWORD, "device": {"name": "<img src=x onerror=alert(2)>"}});
    let mut client = server.client();
    assert_eq!(client.json("POST", "/api/establish-session", &named).status, 200);
    let page = client.get("/dashboard");
    assert!(page.status == 200 && page.body.contains("alert(1)") && page.body.contains("alert(2)"), "{page:?}");
    assert!(!page.body.contains("<script>alert") && !page.body.contains("<img"), "{page:?}");
}

#[test]
fn a_name_given_at_a_login_is_the_devices_name_from_then_on() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    let named = |name: &str| json!({"email": KIM, "password": PASSWORD, "device": {"name": name, "installed": true}});
    client.log_in(KIM);
    let renamed = client.json("POST", "/api/establish-session", &named("Shop counter")).json();
    assert_eq!(renamed["session"]["deviceName"], "Shop counter");
    assert_eq!(renamed["session"]["client"]["installed"], true);
    assert_eq!(count(&db, "audit WHERE kind = 'device.renamed'"), 1);
    // A login that does not describe the device leaves its name and its kind unchanged.
    let again = client.log_in(KIM).json();
    assert_eq!(again["session"]["deviceName"], "Shop counter");
    assert_eq!(again["session"]["client"]["installed"], true);
    assert_eq!(count(&db, "audit WHERE kind = 'device.renamed'"), 1);
    for odd in ["", " ", "\u{200B}", "gnp.\u{202E}exe", "a\nb", &"x".repeat(61)] {
        assert_eq!(client.json("POST", "/api/establish-session", &named(odd)).problem(), "invalid-request", "{odd:?}");
    }
}

#[test]
fn the_dashboard_shows_only_ones_own_sign_ins() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let named = |email: &str, name: &str| json!({"email": email, "password": PASSWORD, "device": {"name": name}});
    for (email, name) in [(KIM, "Shop counter"), (KIM, "Kitchen tablet"), (ALEX, "Phone of Alex")] {
        assert_eq!(server.client().json("POST", "/api/establish-session", &named(email, name)).status, 200);
    }
    let mut client = server.client();
    client.log_in(KIM);
    let page = client.get("/dashboard").body;
    let (_, devices) = page.split_once("Where you are signed in").expect("the devices");
    assert!(devices.contains("Shop counter") && devices.contains("Kitchen tablet"), "{devices}");
    assert!(!page.contains("Phone of Alex"));
}

#[test]
fn a_wrong_password_is_recorded_with_its_device() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    client.try_log_in(KIM, "a wrong password");
    server.client().try_log_in(KIM, "a wrong password");
    assert_eq!(
        count(&db, "audit WHERE kind = 'login.failed' AND device_id IS NOT NULL AND device_name IS NOT NULL"),
        1
    );
    assert_eq!(count(&db, "audit WHERE kind = 'login.failed' AND device_id IS NULL"), 1);
    assert_eq!(count(&db, "audit WHERE kind = 'login.failed' AND ip IS NULL"), 0);
}

/// Its `User-Agent` is that of a Mac. The login page's script reports a touch screen, which no Mac has.
#[test]
fn an_ipad_is_recognized_by_its_touch_screen() {
    let (_db, server) = serve(&[]);
    let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 \
               Safari/605.1.15";
    for (path, name) in [("/login", "Safari on macOS"), ("/login?touch=1", "Safari on iPad")] {
        let mut client = server.client();
        let page = client.get("/login");
        assert!(page.body.contains("js/touch-screen"), "{page:?}");
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("csrf", page.form_token().as_str()), ("email", KIM), ("password", PASSWORD)])
            .finish();
        let headers = [("User-Agent", mac), ("Content-Type", "application/x-www-form-urlencoded")];
        assert_eq!(client.send("POST", path, &headers, body.as_bytes()).status, 303);
        assert_eq!(client.get("/api/session").json()["session"]["deviceName"], name);
    }
}

#[test]
fn client_hints_give_version_and_model_for_the_name() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    let asked = client.get("/login");
    assert_eq!(asked.header("accept-ch"), Some("Sec-CH-UA-Platform-Version, Sec-CH-UA-Model"), "{asked:?}");
    let chrome = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";
    let body = json!({"email": KIM, "password": PASSWORD}).to_string();
    for version in ["15", "16"] {
        let headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", chrome),
            ("Sec-CH-UA-Platform", "\"Android\""),
            ("Sec-CH-UA-Mobile", "?1"),
            ("Sec-CH-UA-Platform-Version", &format!("\"{version}.0.0\"")),
            ("Sec-CH-UA-Model", "\"Pixel 8\""),
        ];
        let session =
            client.send("POST", "/api/establish-session", &headers, body.as_bytes()).json()["session"].clone();
        assert_eq!(session["deviceName"], format!("Chrome on Android {version} (Pixel 8)"));
        assert_eq!(session["client"]["kind"], "phone");
    }
    assert_eq!((count(&db, "devices"), count(&db, "audit WHERE kind = 'device.renamed'")), (1, 0));
}

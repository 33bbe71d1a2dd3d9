//! The audit events of logins and logouts.

use serde_json::{Value, json};

use super::{ALEX, KIM, count, serve, session_id, text, trail};
use crate::support::{PASSWORD, add_events, add_user};

#[test]
fn every_step_of_a_session_is_audited() {
    let (db, server) = serve(&[]);
    let kim = db.sql("SELECT id FROM accounts");
    let alex = add_user(&db, ALEX, "member");
    let mut seen = trail(&db).len();
    let mut news = |what: &str| {
        let all = trail(&db);
        let new: Vec<Value> = all[seen..].to_vec();
        assert!(new.iter().all(|event| event["ip"] == "127.0.0.1"), "{what}: {new:?}");
        seen = all.len();
        new
    };
    let mut client = server.client();
    let device = text(&client.log_in(KIM).json()["session"]["deviceId"]);
    let first = session_id(&mut client);
    let row = |kind: &str, account: &str, actor: &str, session: &str, device: &str, name: Value, detail: Value| {
        json!({"kind": kind, "account": account, "actor": actor, "session": session, "device": device,
               "deviceName": name, "ip": "127.0.0.1", "detail": detail})
    };
    let own = |kind: &str, session: &str| row(kind, &kim, &kim, session, &device, json!("ureq"), Value::Null);
    let login = [own("login.succeeded", &first), own("device.new", &first), own("session.created", &first)];
    assert_eq!(news("a login"), login);

    client.try_log_in(KIM, "a wrong password");
    let failed = &news("a wrong password")[0];
    assert_eq!(
        (&failed["kind"], &failed["account"], &failed["session"]),
        (&json!("login.failed"), &json!(kim), &json!(null))
    );

    client.log_in(KIM);
    let second = session_id(&mut client);
    let detail = json!(format!("was {first}"));
    let regenerated = row("session.regenerated", &kim, &kim, &second, &device, json!("ureq"), detail);
    assert_eq!(news("a login again"), [own("login.succeeded", &second), regenerated]);

    let mut replaced = client.clone();
    let device_of_alex = text(&client.log_in(ALEX).json()["session"]["deviceId"]);
    let third = session_id(&mut client);
    let of_alex = |kind| row(kind, &alex, &alex, &third, &device_of_alex, json!("ureq"), Value::Null);
    let mut new = news("a login of another person");
    let at = new.iter().position(|event| event["kind"] == "session.replaced").expect("an end");
    let end = row("session.replaced", &kim, &alex, &second, &device, json!("ureq"), Value::Null);
    assert_eq!(new.remove(at), end);
    assert_eq!(new, [of_alex("login.succeeded"), of_alex("device.new"), of_alex("session.created")]);

    client.json("DELETE", "/api/session", &Value::Null);
    assert_eq!(news("a logout"), [of_alex("logout")]);

    for _ in 0..3 {
        replaced.get("/api/session");
        replaced.get("/dashboard");
    }
    let new = news("a use after the end");
    assert_eq!(new.len(), 1, "once per session: {new:?}");
    let used = &new[0];
    let told = [&used["kind"], &used["account"], &used["actor"], &used["session"], &used["device"]];
    assert_eq!(told, ["session.used-after-end", &kim, "visitor", &second, &device]);
    assert_eq!(count(&db, "sessions WHERE used_after_end_at IS NOT NULL"), 1);
    assert_eq!(count(&db, "audit WHERE at IS NULL OR at < INSTANT(-600) OR at > INSTANT(600)"), 0);
    assert!(!format!("{:?}", trail(&db)).contains(PASSWORD));
}

#[test]
fn the_dashboard_shows_security_events() {
    let (db, server) = serve(&[]);
    server.client().try_log_in(KIM, "a wrong password");
    let args = ["user", "set-password", KIM, "--password-stdin"];
    assert!(crate::support::sessile(&db, &args, PASSWORD).status.success());
    let mut client = server.client();
    client.log_in(KIM);
    let page = client.get("/dashboard").body;
    let (_, told) = page.split_once("What happened").expect("the trail");
    for title in ["Wrong password", "Password changed by the administrator", "Signed in on a new device"] {
        assert!(told.contains(title), "{title}: {told}");
    }
}

#[test]
fn concurrent_uses_after_the_end_are_recorded_once() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let ended = client.clone();
    client.json("DELETE", "/api/session", &Value::Null);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let mut own = ended.clone();
            scope.spawn(move || assert_eq!(own.get("/api/session").status, 401));
        }
    });
    assert_eq!(count(&db, "audit WHERE kind = 'session.used-after-end'"), 1);
}

/// A later version that shares the database may record event kinds that this version does not know.
#[test]
fn an_event_of_a_later_version_is_left_out_of_the_dashboard() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let rows = "SELECT INSTANT(0) AS at, 'moon.landed' AS kind, id AS account_id, id AS actor FROM accounts";
    add_events(&db, "at, kind, account_id, actor", rows);
    let page = client.get("/dashboard");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Signed in on a new device"));
}

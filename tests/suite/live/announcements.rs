//! On PostgreSQL, commits with a NOTIFY queue behind one another. Only ends, rotations and account changes send one.

use serde_json::json;

use super::KIM;
use crate::support::{
    App, Client, Engine, PASSWORD, TestDb, add_user, run,
    statements::{ran_alone, seen},
};

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn only_what_requests_look_up_is_announced_in_transactions() {
    if ran_alone(module_path!(), "only_what_requests_look_up_is_announced_in_transactions") {
        return;
    }
    run(Engine::Postgres, async |db: TestDb| announce(&db));
}

fn announce(db: &TestDb) {
    add_user(db, KIM, "owner");
    let here = App::start(db, &[]);
    // Beats of the session cache are no announcements.
    let is_announcement = |statement: &String| statement.contains("pg_notify") && !statement.contains("beaten_at");
    let announced = || seen().iter().filter(|statement| is_announcement(statement)).count();
    let mut desk = here.client();
    let mut phone = here.client();
    desk.log_in(KIM);
    phone.log_in(KIM);
    let own = |client: &mut Client, what: &str| {
        client.get("/api/session").json()["session"][what].as_str().expect("an id").to_owned()
    };
    let device = own(&mut phone, "deviceId");
    desk.try_log_in(KIM, "not the password");
    assert_eq!(desk.json("PATCH", "/api/session/data", &json!({"a": 1})).status, 200);
    let csrf = desk.form_token("/account");
    assert_eq!(desk.form("/devices", &[("csrf", &csrf), ("known", &device)]).status, 303);
    let put = json!({"id": "0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a111", "kind": "draft.put", "draftId": "one", "text": "T", "baseVersion": 0});
    assert_eq!(desk.json("POST", "/api/session/sync", &json!({"operations": [put]})).status, 200);
    let asked = seen();
    assert!(asked.len() > 30, "{asked:#?}");
    let told: Vec<&String> = asked.iter().filter(|statement| is_announcement(statement)).collect();
    assert!(told.is_empty(), "{told:#?}");
    for (what, status) in [("RENAME", 200), ("DELETE", 204), ("LOGIN", 200), ("CONFIRM", 303)] {
        let answer = match what {
            "RENAME" => desk.json("PATCH", &format!("/api/devices/{device}"), &json!({"name": "Phone"})),
            "DELETE" => desk.json("DELETE", &format!("/api/sessions/{}", own(&mut phone, "id")), &json!(null)),
            "LOGIN" => desk.log_in(KIM),
            _ => {
                let csrf = desk.form_token("/account");
                desk.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD)])
            }
        };
        assert_eq!((answer.status, announced()), (status, 1), "{what}");
    }
}

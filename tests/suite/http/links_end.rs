//! What makes a link stop working before it is used or expires.

use serde_json::{Value, json};

use super::{ALEX, KIM};
use crate::support::{App, Client, PASSWORD, TestDb, add_user, on_both_engines_and_citus, sessile};

on_both_engines_and_citus! {
    links_end_when_role_address_or_state_of_the_person_change,
    links_of_an_admin_who_was_dismissed_do_not_work,
    who_comes_back_by_a_link_keeps_the_account,
    after_the_time_to_return_no_link_works,
    doctor_accepts_an_invited_account,
    a_request_for_help_is_hidden_after_a_sign_in_and_from_people_below,
}

const ADA: &str = "ada@example.com";
const NEW: &str = "new@example.com";
const OTHER_PASSWORD: &str = "purple limpets hum at noon";

fn serve(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    add_user(db, ADA, "admin");
    add_user(db, ALEX, "member");
    App::start(db, &[])
}

fn signed_in(server: &App, email: &str) -> Client {
    let mut client = server.client();
    client.log_in(email);
    client
}

fn id_of(db: &TestDb, email: &str) -> String {
    db.sql(&format!("SELECT id FROM accounts WHERE email = '{email}'"))
}

/// The path of a link that somebody makes.
fn made(by: &mut Client, address: &str, body: &Value) -> String {
    let answer = by.json("POST", address, body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let link = answer.json()["link"].as_str().unwrap().to_owned();
    format!("/link/{}", link.rsplit('/').next().unwrap())
}

fn password_link(by: &mut Client, id: &str) -> String {
    made(by, &format!("/api/people/{id}/password-link"), &json!({}))
}

fn use_link(client: &mut Client, path: &str) -> u16 {
    let page = client.get(path);
    if page.status != 200 {
        return page.status;
    }
    client.form(path, &[("csrf", &page.form_token()), ("name", "Marta"), ("password", OTHER_PASSWORD)]).status
}

async fn links_end_when_role_address_or_state_of_the_person_change(db: TestDb) {
    let server = serve(&db);
    let (mut kim, mut ada) = (signed_in(&server, KIM), signed_in(&server, ADA));
    let alex = id_of(&db, ALEX);
    let mut change = |id: &str, body: &Value| {
        let answer = kim.json("PATCH", &format!("/api/people/{id}"), body);
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    for changes in [
        &[json!({"role": "admin"}), json!({"role": "member"})][..],
        &[json!({"email": "alex2@example.com"})],
        &[json!({"disabled": true}), json!({"disabled": false})],
    ] {
        let path = password_link(&mut ada, &alex);
        assert_eq!(server.client().get(&path).status, 200);
        for body in changes {
            change(&alex, body);
        }
        assert_eq!(use_link(&mut server.client(), &path), 410, "{changes:?}");
    }
    let path = made(&mut ada, "/api/people/invitations", &json!({"email": NEW}));
    change(&id_of(&db, NEW), &json!({"role": "owner"}));
    assert_eq!(use_link(&mut server.client(), &path), 410, "the admin invited a member, and must not become an owner");
    let path = password_link(&mut ada, &alex);
    change(&alex, &json!({"name": "Alex B"}));
    assert_eq!(use_link(&mut server.client(), &path), 303, "a new name changes nothing");
}

async fn links_of_an_admin_who_was_dismissed_do_not_work(db: TestDb) {
    let server = serve(&db);
    let (mut kim, mut ada) = (signed_in(&server, KIM), signed_in(&server, ADA));
    let (alex, own) = (id_of(&db, ALEX), id_of(&db, ADA));
    let paths = [password_link(&mut ada, &alex), made(&mut ada, "/api/people/invitations", &json!({"email": NEW}))];
    assert_eq!(kim.json("PATCH", &format!("/api/people/{own}"), &json!({"role": "member"})).status, 200);
    for path in &paths {
        assert_eq!(use_link(&mut server.client(), path), 410, "a member");
    }
    assert_eq!(kim.json("PATCH", &format!("/api/people/{own}"), &json!({"role": "admin"})).status, 200);
    let path = password_link(&mut ada, &alex);
    assert_eq!(kim.json("DELETE", &format!("/api/people/{own}"), &json!(null)).status, 204);
    assert_eq!(use_link(&mut server.client(), &path), 410, "deleted");
}

async fn who_comes_back_by_a_link_keeps_the_account(db: TestDb) {
    let server = serve(&db);
    let (mut kim, mut alex) = (signed_in(&server, KIM), signed_in(&server, ALEX));
    let id = id_of(&db, ALEX);
    assert_eq!(alex.json("DELETE", "/api/account", &json!(null)).status, 204);
    let path = password_link(&mut kim, &id);
    assert_eq!(use_link(&mut server.client(), &path), 303);
    assert_eq!(db.sql("SELECT count(*) FROM accounts WHERE deletion_asked_at IS NOT NULL"), "0");
    assert_eq!(db.sql(&format!("SELECT count(*) FROM audit WHERE kind = 'account.kept' AND account_id = '{id}'")), "1");
}

async fn after_the_time_to_return_no_link_works(db: TestDb) {
    let server = serve(&db);
    let (mut kim, mut alex) = (signed_in(&server, KIM), signed_in(&server, ALEX));
    let path = password_link(&mut kim, &id_of(&db, ALEX));
    assert_eq!(alex.json("DELETE", "/api/account", &json!(null)).status, 204);
    let mut visitor = server.client();
    let csrf = visitor.form_token(&path);
    db.sql("UPDATE accounts SET deletion_asked_at = INSTANT(-1209700) WHERE deletion_asked_at IS NOT NULL");
    let answer = visitor.form(&path, &[("csrf", &csrf), ("password", OTHER_PASSWORD)]);
    assert_eq!(answer.status, 410, "{answer:?}");
    assert_eq!(server.client().try_log_in(ALEX, PASSWORD).status, 401);
}

async fn doctor_accepts_an_invited_account(db: TestDb) {
    let server = serve(&db);
    made(&mut signed_in(&server, KIM), "/api/people/invitations", &json!({"email": NEW}));
    let said = sessile(&db, &["doctor"], "");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.lines().any(|line| line.contains("audit trail") && !line.starts_with("FAIL")), "{said}");
}

async fn a_request_for_help_is_hidden_after_a_sign_in_and_from_people_below(db: TestDb) {
    let server = serve(&db);
    let (mut kim, mut ada) = (signed_in(&server, KIM), signed_in(&server, ADA));
    let asks = |email: &str| {
        let row =
            format!("INSERT INTO help_requests (account_id, asked_at) VALUES ('{}', INSTANT(-60))", id_of(&db, email));
        db.sql(&row);
    };
    asks(ALEX);
    asks(ADA);
    let shows = |client: &mut Client, email: &str| client.get("/dashboard").body.contains(email);
    db.sql("UPDATE accounts SET last_login_at = INSTANT(-3600)");
    assert!(shows(&mut kim, ALEX) && shows(&mut kim, ADA));
    assert!(shows(&mut ada, ALEX));
    signed_in(&server, ALEX);
    assert!(!shows(&mut kim, ALEX) && !shows(&mut ada, ALEX), "who is signed in needs no help");
    db.sql("UPDATE accounts SET last_login_at = NULL");
    db.sql("UPDATE help_requests SET asked_at = INSTANT(-700000)");
    assert!(!shows(&mut kim, ALEX), "after a week");
    let sessions = db.sessions().await;
    assert_eq!(sessile::records::help::sweep(&sessions.db).await.unwrap(), 2);
}

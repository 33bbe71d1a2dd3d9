//! What a person reaches who must set up a second factor first.

use serde_json::json;
use sessile::{serve::routes::Routes, web::route::Kind};

use super::{ALEX, KIM, SAM, give_app, leads_to, log_in_with, new_code};
use crate::support::{Answer, App, Client, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    everything_but_the_set_up_is_refused_to_old_and_new_sessions,
    nothing_changes_what_a_person_has_who_must_set_up_first,
    the_confirmation_and_the_sign_out_are_open,
    the_rule_for_admins_leaves_members_alone,
    a_new_role_counts_at_once,
    the_first_factor_opens_everything_on_every_node,
    a_disabled_account_is_told_nothing_else,
}

const RULE: &str = "SESSILE_SECOND_FACTOR";
const SET_UP: &str = "/account/security";

/// The same browser at another server.
fn at(server: &App, client: &Client) -> Client {
    let mut again = server.client();
    again.cookies.clone_from(&client.cookies);
    again
}

fn is_barred(answer: &Answer) {
    assert_eq!((answer.status, answer.problem().as_str()), (403, "second-factor-required"), "{answer:?}");
    assert_eq!(answer.json()["setUp"], SET_UP, "{answer:?}");
}

/// Whether an address is for the set-up, by the contract.
fn is_for_set_up(path: &str) -> bool {
    let areas = [SET_UP, "/api/second-factor", "/api/passkeys"];
    // Nobody is signed in there yet.
    if path.starts_with("/api/passkeys/sign-in") {
        return false;
    }
    path == "/confirm" || path == "/apps/x/open" || areas.iter().any(|area| path.starts_with(area))
}

#[test]
fn every_address_of_the_set_up_is_declared_open() {
    let declared = Routes::declare();
    for route in declared.table.addresses().filter(|route| route.kind.has_session()) {
        let is_open = is_for_set_up(&route.path.replace("{id}", "x")) || route.path == "/logout";
        assert_eq!(route.is_open_to_set_up, is_open, "{}", route.path);
    }
}

/// Every address of the service that needs a sign-in, with its kind.
fn guarded(stranger: &mut Client) -> Vec<(String, Kind)> {
    let declared = Routes::declare();
    let readable = declared.table.addresses().filter(|route| route.kind.has_session() && route.methods.contains("GET"));
    let mut guarded = Vec::new();
    for route in readable {
        let path = route.path.replace("{id}", "x").replace("{token}", "x");
        let answer = stranger.get(&path);
        let is_sent_away = answer.header("location").is_some_and(|to| to.starts_with("/login?next=%2F"));
        if is_sent_away || answer.status == 401 && answer.problem() == "login-required" {
            guarded.push((path, route.kind));
        }
    }
    assert!(guarded.len() > 20, "{guarded:?}");
    guarded
}

async fn everything_but_the_set_up_is_refused_to_old_and_new_sessions(db: TestDb) {
    add_user(&db, KIM, "owner");
    let before = App::start(&db, &[]);
    let mut old = before.client();
    old.log_in(KIM);
    assert_eq!(old.get("/dashboard").status, 200);
    drop(before);

    let server = App::start(&db, &[(RULE, "everyone")]);
    let mut new = server.client();
    new.log_in(KIM);
    let guarded = guarded(&mut server.client());
    for client in [&mut at(&server, &old), &mut new] {
        for (path, kind) in guarded.iter().filter(|(path, _)| !is_for_set_up(path)) {
            let answer = client.get(path);
            if answer.status == 401 {
                // The server of an app signs in with its own secret.
                assert!(path.starts_with("/api/apps/x/"), "{path}: {answer:?}");
                continue;
            }
            match kind {
                Kind::Page => leads_to(&answer, SET_UP),
                _ => is_barred(&answer),
            }
        }
    }
    let mut live = at(&server, &old);
    is_barred(&live.get("/api/session"));
    is_barred(&live.get("/api/events"));
    leads_to(&live.get("/dashboard"), SET_UP);
    leads_to(&live.get("/"), "/dashboard");
    leads_to(&live.get("/login"), "/dashboard");
}

async fn nothing_changes_what_a_person_has_who_must_set_up_first(db: TestDb) {
    add_user(&db, KIM, "owner");
    let sam = add_user(&db, SAM, "member");
    let server = App::start(&db, &[(RULE, "everyone")]);
    let mut client = server.client();
    let csrf = {
        client.log_in(KIM);
        client.form_token("/confirm")
    };
    is_barred(&client.json("PATCH", &format!("/api/people/{sam}"), &json!({"disabled": true})));
    is_barred(&client.json("POST", "/api/session/sync", &json!({"operations": []})));
    is_barred(&client.json("PATCH", "/api/session/data", &json!({"a": 1})));
    is_barred(&client.json("POST", "/api/sessions/revoke-others", &json!({})));
    for path in ["/account", "/devices", "/drafts", "/people/invite", &format!("/people/{sam}")] {
        leads_to(&client.form(path, &[("csrf", &csrf), ("name", "Other")]), SET_UP);
    }
    assert_eq!(db.sql("SELECT DISTINCT name FROM accounts"), "Kim Lee");
}

async fn the_confirmation_and_the_sign_out_are_open(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = App::start(&db, &[(RULE, "everyone")]);
    let mut client = server.client();
    client.log_in(KIM);
    let csrf = client.form_token("/confirm");
    let fields = [("csrf", csrf.as_str()), ("password", crate::support::PASSWORD), ("next", SET_UP)];
    leads_to(&client.form("/confirm", &fields), SET_UP);
    is_barred(&client.get("/api/session"));
    let mut other = at(&server, &client);
    assert_eq!(client.send("DELETE", "/api/session", &[], b"").status, 204);
    assert_eq!(other.get("/api/session").problem(), "session-ended");

    let mut client = server.client();
    client.log_in(KIM);
    let csrf = client.form_token("/confirm");
    let answer = client.form("/logout", &[("csrf", &csrf)]);
    assert!(answer.header("location").is_some_and(|to| to.starts_with("/login")), "{answer:?}");
    assert_eq!(client.get("/dashboard").header("location"), Some("/login?next=%2Fdashboard"));
}

async fn the_rule_for_admins_leaves_members_alone(db: TestDb) {
    for (email, role) in [(KIM, "owner"), (ALEX, "admin"), (SAM, "member")] {
        add_user(&db, email, role);
    }
    let server = App::start(&db, &[(RULE, "admins")]);
    for email in [KIM, ALEX] {
        let mut client = server.client();
        client.log_in(email);
        leads_to(&client.get("/dashboard"), SET_UP);
    }
    let mut sam = server.client();
    sam.log_in(SAM);
    assert_eq!(sam.get("/dashboard").status, 200);
    assert_eq!(sam.get("/api/session").status, 200);
}

async fn a_new_role_counts_at_once(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let sam = add_user(&db, SAM, "member");
    give_app(&db, &kim).await;
    let servers = [App::start(&db, &[(RULE, "admins")]), App::start(&db, &[(RULE, "admins")])];
    let mut owner = servers[0].client();
    assert_eq!(log_in_with(&mut owner, KIM, &new_code(&db)).status, 200);
    let mut member = servers[1].client();
    member.log_in(SAM);
    for _ in 0..3 {
        assert_eq!(member.get("/api/session").status, 200);
        let patch = |role| json!({ "role": role });
        assert_eq!(owner.json("PATCH", &format!("/api/people/{sam}"), &patch("admin")).status, 200);
        is_barred(&member.get("/api/session"));
        assert_eq!(owner.json("PATCH", &format!("/api/people/{sam}"), &patch("member")).status, 200);
    }
    assert_eq!(member.get("/api/session").status, 200);
}

async fn the_first_factor_opens_everything_on_every_node(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let servers = [App::start(&db, &[(RULE, "everyone")]), App::start(&db, &[(RULE, "everyone")])];
    let mut client = servers[0].client();
    client.log_in(KIM);
    let mut clients = [at(&servers[0], &client), at(&servers[1], &client)];
    for client in &mut clients {
        is_barred(&client.get("/api/session"));
    }
    give_app(&db, &kim).await;
    for client in &mut clients {
        let answer = client.get("/api/session");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["session"]["aal"], 1, "a set-up does not raise the level");
        assert_eq!(client.get("/dashboard").status, 200);
    }
}

async fn a_disabled_account_is_told_nothing_else(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let sam = add_user(&db, SAM, "member");
    give_app(&db, &kim).await;
    let server = App::start(&db, &[(RULE, "everyone")]);
    let mut member = server.client();
    member.log_in(SAM);
    is_barred(&member.get("/api/session"));
    let mut owner = server.client();
    assert_eq!(log_in_with(&mut owner, KIM, &new_code(&db)).status, 200);
    assert_eq!(owner.json("PATCH", &format!("/api/people/{sam}"), &json!({"disabled": true})).status, 200);
    let answer = member.get("/api/session");
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (401, Some("revoked")), "{answer:?}");
}

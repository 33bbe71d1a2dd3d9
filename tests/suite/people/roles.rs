//! Who may use which address: each address as nobody, member, admin and owner; and what names a person also on oneself,
//! on somebody below, beside and above, and on nobody.

use std::collections::BTreeSet;

use serde_json::json;
use sessile::serve::routes::Routes;

use super::{ALEX, KIM, SAM, serve, signed_in};
use crate::support::{Answer, Client, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    every_address_admits_whom_it_should,
    nobody_acts_beside_or_above_themselves,
    a_change_needs_a_fresh_confirmation,
}

/// Whom an address admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admits {
    /// Also people who are not signed in. Other suites check what they get.
    Anybody,
    SignedIn,
    /// Admins and owners.
    Managers,
    /// Managers, but only on people below them. See [`CALLS`].
    ManagersOf,
}

use Admits::{Anybody, Managers, ManagersOf, SignedIn};

/// Every route of `src/serve/routes.rs`. Add new routes here.
const ROUTES: &[(&str, Admits)] = &[
    ("/healthz", Anybody),
    ("/readyz", Anybody),
    ("/metrics", Anybody),
    ("/manifest.webmanifest", Anybody),
    ("/sw.js", Anybody),
    ("/offline", Anybody),
    ("/.well-known/change-password", Anybody),
    ("/.well-known/jwks.json", Anybody),
    ("/.well-known/security.txt", Anybody),
    ("/favicon.ico", Anybody),
    ("/robots.txt", Anybody),
    ("/static/{name:.*}", Anybody),
    ("/.sessile/gate/{token}", Anybody),
    ("/.sessile/start", Anybody),
    ("/.sessile/done", Anybody),
    ("/.sessile/sign-out", Anybody),
    ("/.sessile/echo", Anybody),
    ("/", Anybody),
    ("/setup", Anybody),
    ("/login", Anybody),
    ("/login/second", Anybody),
    ("/signup", Anybody),
    ("/forgot", Anybody),
    ("/login/second", Anybody),
    ("/api/passkeys/sign-in", Anybody),
    ("/api/passkeys/sign-in/options", Anybody),
    ("/api/openapi.json", Anybody),
    ("/link/{token}", Anybody),
    ("/logout", Anybody),
    ("/apps/{id}/sign-out", Anybody),
    ("/api/establish-session", Anybody),
    // With the secret of an app.
    ("/api/apps/{id}/ends", Anybody),
    ("/api/apps/{id}/living", Anybody),
    ("/apps/{id}/open", SignedIn),
    ("/confirm", SignedIn),
    ("/dashboard", SignedIn),
    ("/devices", SignedIn),
    ("/drafts", SignedIn),
    ("/activity", SignedIn),
    ("/account", SignedIn),
    ("/account/email", SignedIn),
    ("/account/export", SignedIn),
    ("/account/phone", SignedIn),
    ("/account/security", SignedIn),
    ("/account/security/app", SignedIn),
    ("/account/security/app/remove", SignedIn),
    ("/account/security/recovery", SignedIn),
    ("/api/second-factor", SignedIn),
    ("/api/second-factor/app", SignedIn),
    ("/api/second-factor/recovery-codes", SignedIn),
    ("/account/security/passkeys/{id}", SignedIn),
    ("/account/security/passkeys/{id}/remove", SignedIn),
    ("/api/passkeys", SignedIn),
    ("/api/passkeys/options", SignedIn),
    ("/api/passkeys/offer", SignedIn),
    ("/api/passkeys/confirm", SignedIn),
    ("/api/passkeys/confirm/options", SignedIn),
    ("/api/passkeys/{id}", SignedIn),
    ("/account/delete", SignedIn),
    ("/account/security", SignedIn),
    ("/account/security/app", SignedIn),
    ("/account/security/app/remove", SignedIn),
    ("/account/security/recovery", SignedIn),
    ("/api/second-factor", SignedIn),
    ("/api/second-factor/app", SignedIn),
    ("/api/second-factor/recovery-codes", SignedIn),
    ("/api/session", SignedIn),
    ("/api/session/sync", SignedIn),
    ("/api/session/data", SignedIn),
    ("/api/drafts", SignedIn),
    // A stream: the suite `live` covers it.
    ("/api/events", Anybody),
    ("/api/activity", SignedIn),
    ("/api/apps", SignedIn),
    ("/api/sessions", SignedIn),
    ("/api/sessions/revoke-others", SignedIn),
    ("/api/sessions/{id}", SignedIn),
    ("/api/devices", SignedIn),
    ("/api/devices/{id}", SignedIn),
    ("/api/account", SignedIn),
    ("/api/account/export", SignedIn),
    ("/apps", Managers),
    ("/apps/{id}", Managers),
    ("/apps/{id}/confirm", Managers),
    ("/people", Managers),
    ("/people/invite", Managers),
    ("/api/people", Managers),
    ("/api/people/invitations", Managers),
    ("/people/{id}", ManagersOf),
    ("/people/{id}/confirm", ManagersOf),
    ("/people/{id}/link", ManagersOf),
    ("/api/people/{id}", ManagersOf),
    ("/api/people/{id}/revoke-sessions", ManagersOf),
    ("/api/people/{id}/password-link", ManagersOf),
    ("/api/people/{id}/export", ManagersOf),
];

/// What can be done to a person, in this order: the method, the route, the query and the body. Each form is stale, so
/// that it changes nothing where it is admitted.
const CALLS: &[(&str, &str, &str, &str)] = &[
    ("GET", "/api/people/{id}", "", ""),
    ("PATCH", "/api/people/{id}", "", r#"{"groups": ["Night"]}"#),
    ("POST", "/api/people/{id}/revoke-sessions", "", "{}"),
    ("GET", "/api/people/{id}/export", "", ""),
    ("POST", "/api/people/{id}/password-link", "", "{}"),
    ("GET", "/people/{id}", "", ""),
    ("FORM", "/people/{id}", "", "csrf=stale&name=Other"),
    ("GET", "/people/{id}/confirm", "?act=disable", ""),
    ("FORM", "/people/{id}/confirm", "", "csrf=stale&act=disable"),
    ("GET", "/people/{id}/link", "", ""),
    ("FORM", "/people/{id}/link", "", "csrf=stale&act=password"),
    ("DELETE", "/api/people/{id}", "", ""),
];

#[test]
fn every_route_is_in_the_table() {
    let declared = Routes::declare().table;
    let routes: BTreeSet<&str> = declared.addresses().map(|route| route.path).collect();
    let table: BTreeSet<&str> = ROUTES.iter().map(|(route, _)| *route).collect();
    assert_eq!(routes, table, "add new routes to the table");
    let on_people: BTreeSet<&str> =
        ROUTES.iter().filter(|(_, admits)| *admits == ManagersOf).map(|(route, _)| *route).collect();
    let called: BTreeSet<&str> = CALLS.iter().map(|(_, route, ..)| *route).collect();
    assert_eq!(on_people, called, "add new routes on people to CALLS");
}

fn send(client: &mut Client, method: &str, path: &str, body: &str) -> Answer {
    match method {
        "FORM" => client.send("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes()),
        "GET" | "HEAD" => client.get(path),
        _ => client.send(method, path, &[("Content-Type", "application/json")], body.as_bytes()),
    }
}

async fn every_address_admits_whom_it_should(db: TestDb) {
    let (server, _) = serve(&db);
    let declared = Routes::declare().table;
    let mut visitor = server.client();
    let mut signed_in = [SAM, ALEX, KIM].map(|email| (email, signed_in(&server, email)));
    for (route, admits) in ROUTES.iter().filter(|(_, admits)| *admits != Anybody) {
        let path = route.replace("{id}", "unknown");
        let api = route.starts_with("/api");
        let methods = declared.addresses().find(|one| one.path == *route).unwrap().methods.to_string();
        for method in methods.split(", ").filter(|method| *method != "HEAD") {
            let sent = if method == "POST" && !api { "FORM" } else { method };
            let body = if api { "{}" } else { "csrf=stale" };
            let nobody = send(&mut visitor, sent, &path, body).status;
            assert_eq!(nobody, if api { 401 } else { 303 }, "{method} {path} as nobody");
            // Whatever is not a read would do something where it is admitted.
            if *admits == SignedIn && method != "GET" {
                continue;
            }
            for (email, client) in &mut signed_in {
                let answer = send(client, sent, &path, body);
                let is_refused = *email == SAM && *admits != SignedIn;
                assert_eq!(answer.status == 403, is_refused, "{method} {path} as {email}: {answer:?}");
                assert!(!matches!(answer.status, 401 | 500..), "{method} {path} as {email}: {answer:?}");
            }
        }
    }
    let [(_, sam), (_, alex), (_, kim)] = &mut signed_in;
    assert!(!sam.get("/dashboard").body.contains("href=\"/people\""));
    assert!(alex.get("/dashboard").body.contains("href=\"/people\""));
    assert!(kim.get("/dashboard").body.contains("href=\"/people\""));
}

async fn nobody_acts_beside_or_above_themselves(db: TestDb) {
    let (server, [kim, alex, sam]) = serve(&db);
    let others = [("o2@example.com", "owner"), ("a2@example.com", "admin"), ("m2@example.com", "member")];
    let [owner, admin, member] = others.map(|(email, role)| add_user(&db, email, role));
    let unknown = "acc_unknown".to_owned();
    // As whom, on whom, and whether it is oneself or somebody below. DELETE comes last, so that the owner acts last.
    let actors = [
        (None, [(&kim, 401), (&sam, 401), (&unknown, 401)].to_vec()),
        (Some(SAM), [(&sam, 403), (&member, 403), (&alex, 403), (&kim, 403), (&unknown, 403)].to_vec()),
        (Some(ALEX), [(&alex, 403), (&admin, 403), (&kim, 403), (&unknown, 404), (&member, 200)].to_vec()),
        (Some(KIM), [(&owner, 403), (&unknown, 404), (&sam, 200), (&admin, 200)].to_vec()),
    ];
    for (email, targets) in actors {
        let mut client = email.map_or_else(|| server.client(), |email| signed_in(&server, email));
        for (id, expected) in targets {
            for (method, route, query, body) in CALLS {
                let path = format!("{}{query}", route.replace("{id}", id));
                let answer = send(&mut client, method, &path, body);
                let expected = match (expected, *method) {
                    (200, "DELETE") => 204,
                    (200, "POST") if route.ends_with("link") => 201,
                    (200, "FORM") => 422,
                    (401, _) if !path.starts_with("/api") => 303,
                    (expected, _) => expected,
                };
                assert_eq!(answer.status, expected, "{method} {path} as {email:?}: {answer:?}");
            }
        }
    }
    assert_eq!(db.sql("SELECT count(*) FROM accounts WHERE deleted_at IS NOT NULL"), "3");
    // An owner may look at and change their own page. Nobody else may.
    let mut client = signed_in(&server, KIM);
    assert_eq!(client.get(&format!("/api/people/{kim}")).json()["role"], "owner");
    let given = client.json("PATCH", &format!("/api/people/{alex}"), &json!({"role": "owner"}));
    assert_eq!((given.status, &given.json()["role"]), (200, &json!("owner")), "an owner makes owners");
    // An admin makes no admins, whose equal they would be.
    let newcomer = add_user(&db, "new@example.com", "member");
    db.sql(&format!("UPDATE accounts SET role = 'admin' WHERE email = '{ALEX}'"));
    let mut client = signed_in(&server, ALEX);
    for role in ["admin", "owner"] {
        let answer = client.json("PATCH", &format!("/api/people/{newcomer}"), &json!({ "role": role }));
        assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"), "{role}");
    }
    assert_eq!(client.json("PATCH", &format!("/api/people/{newcomer}"), &json!({"role": "member"})).status, 200);
}

async fn a_change_needs_a_fresh_confirmation(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let mut kim = signed_in(&server, KIM);
    super::let_confirmations_lapse(&db);
    let person = format!("/api/people/{sam}");
    assert_eq!(kim.get(&person).status, 200, "reading needs the role alone");
    let refused = [
        kim.json("PATCH", &person, &json!({"name": "Other"})),
        kim.json("DELETE", &person, &json!(null)),
        kim.json("POST", &format!("{person}/revoke-sessions"), &json!({})),
        kim.json("POST", &format!("{person}/password-link"), &json!({})),
        kim.get(&format!("{person}/export")),
        kim.get("/api/account/export"),
        kim.json("DELETE", "/api/account", &json!(null)),
    ];
    for answer in refused {
        assert_eq!((answer.status, answer.problem().as_str()), (403, "confirmation-required"), "{answer:?}");
    }
    assert_eq!(db.sql(&format!("SELECT name FROM accounts WHERE id = '{sam}'")), "Kim Lee");
}

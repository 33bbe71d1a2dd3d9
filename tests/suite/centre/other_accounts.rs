//! On every route of the program, an account cannot see, rename or end anything of another account.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sessile::serve::routes::Routes;

use super::{ALEX, KIM, count, device_id, form, is_signed_in, serve, session_id, signed_in};
use crate::support::{Answer, Client, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    other_accounts_objects_are_not_found,
}

/// How a route could reach another account's data.
pub(super) enum Reach {
    /// Neither its address nor its fields or body name anything.
    NamesNothing,
    /// It shows the account's own data. Its answer to GET must contain nothing of the other account.
    Shows,
    /// It names an object, so each of these requests is a 404. `SESSION` and `DEVICE` stand for ids of the other
    /// account.
    Names(&'static [(&'static str, &'static str, &'static str)]),
}

use Reach::{Names, NamesNothing, Shows};

/// Every route of `src/serve/routes.rs`. Add new routes here.
pub(super) const ROUTES: &[(&str, Reach)] = &[
    ("/healthz", NamesNothing),
    ("/static/{name:.*}", NamesNothing),
    ("/manifest.webmanifest", NamesNothing),
    ("/sw.js", NamesNothing),
    ("/offline", NamesNothing),
    ("/.well-known/change-password", NamesNothing),
    ("/.well-known/jwks.json", NamesNothing),
    ("/favicon.ico", NamesNothing),
    ("/robots.txt", NamesNothing),
    ("/", NamesNothing),
    ("/setup", NamesNothing),
    ("/login", NamesNothing),
    ("/signup", NamesNothing),
    ("/forgot", NamesNothing),
    // Whoever has a link may use it.
    ("/link/{token}", NamesNothing),
    // Admins act on others. `http::links` covers on whom.
    ("/people/invite", NamesNothing),
    ("/people/{id}/link", NamesNothing),
    ("/api/people/invitations", NamesNothing),
    ("/api/people/{id}/password-link", NamesNothing),
    ("/logout", NamesNothing),
    (
        "/confirm",
        Names(&[
            ("GET", "/confirm?then=session:SESSION", ""),
            ("GET", "/confirm?then=device:DEVICE", ""),
            ("GET", "/confirm?then=not-me:SESSION", ""),
            ("GET", "/confirm?then=not-me:DEVICE", ""),
            ("FORM", "/confirm", "password=PASSWORD&then=session:SESSION"),
            ("FORM", "/confirm", "password=PASSWORD&then=device:DEVICE"),
            ("FORM", "/confirm", "password=PASSWORD&then=not-me:SESSION"),
            ("FORM", "/confirm", "password=PASSWORD&then=not-me:DEVICE"),
        ]),
    ),
    ("/dashboard", Shows),
    ("/account", Shows),
    ("/account/export", NamesNothing),
    ("/account/delete", NamesNothing),
    ("/api/account", NamesNothing),
    ("/api/account/export", NamesNothing),
    // The suite `people` covers who may act on whom.
    ("/people", NamesNothing),
    ("/people/{id}", NamesNothing),
    ("/people/{id}/confirm", NamesNothing),
    ("/api/people", NamesNothing),
    ("/api/people/{id}", NamesNothing),
    ("/api/people/{id}/revoke-sessions", NamesNothing),
    ("/api/people/{id}/export", NamesNothing),
    ("/login/second", NamesNothing),
    ("/account/security", Shows),
    ("/account/security/app", NamesNothing),
    ("/account/security/app/remove", NamesNothing),
    ("/account/security/recovery", NamesNothing),
    ("/api/second-factor", Shows),
    ("/api/second-factor/app", NamesNothing),
    ("/api/second-factor/recovery-codes", NamesNothing),
    // The cases of passkeys ask for those of others.
    ("/account/security/passkeys/{id}", NamesNothing),
    ("/account/security/passkeys/{id}/remove", NamesNothing),
    ("/api/passkeys", NamesNothing),
    ("/api/passkeys/options", NamesNothing),
    ("/api/passkeys/offer", NamesNothing),
    ("/api/passkeys/sign-in", NamesNothing),
    ("/api/passkeys/sign-in/options", NamesNothing),
    ("/api/passkeys/confirm", NamesNothing),
    ("/api/passkeys/confirm/options", NamesNothing),
    ("/api/passkeys/{id}", NamesNothing),
    ("/account/phone", Shows),
    ("/account/email", Shows),
    (
        "/devices",
        Names(&[
            ("FORM", "/devices", "ending=session:SESSION"),
            ("FORM", "/devices", "ending=device:DEVICE"),
            ("FORM", "/devices", "ending=not-me:SESSION"),
            ("FORM", "/devices", "ending=not-me:DEVICE"),
            ("FORM", "/devices", "known=DEVICE"),
            ("FORM", "/devices", "device=DEVICE&name=Mine"),
            ("FORM", "/devices", "device=DEVICE&name="),
        ]),
    ),
    ("/activity", Shows),
    ("/drafts", Names(&[("FORM", "/drafts", "delete=DRAFT&base=1"), ("FORM", "/drafts", "both=DRAFT")])),
    ("/api/drafts", Shows),
    ("/api/apps", Shows),
    // The suite `gate` covers what an app, its cookies and its codes open.
    ("/.sessile/gate/{token}", NamesNothing),
    ("/.sessile/start", NamesNothing),
    ("/.sessile/done", NamesNothing),
    ("/.sessile/sign-out", NamesNothing),
    ("/.sessile/echo", NamesNothing),
    // Apps belong to no account.
    ("/apps", NamesNothing),
    ("/apps/{id}", NamesNothing),
    ("/apps/{id}/confirm", NamesNothing),
    ("/apps/{id}/open", NamesNothing),
    ("/apps/{id}/sign-out", NamesNothing),
    ("/api/apps/{id}/ends", NamesNothing),
    ("/api/apps/{id}/living", NamesNothing),
    // The suite `sync` covers the objects that its operations name.
    ("/api/session/sync", NamesNothing),
    ("/api/activity", Shows),
    ("/api/openapi.json", NamesNothing),
    ("/.well-known/security.txt", NamesNothing),
    // The suite `live` covers which session receives which announcement.
    ("/api/events", NamesNothing),
    ("/readyz", NamesNothing),
    ("/metrics", NamesNothing),
    ("/api/establish-session", NamesNothing),
    ("/api/session", Shows),
    ("/api/session/data", Shows),
    ("/api/sessions", Shows),
    ("/api/sessions/revoke-others", NamesNothing),
    ("/api/sessions/{id}", Names(&[("DELETE", "/api/sessions/SESSION", "")])),
    ("/api/devices", Shows),
    (
        "/api/devices/{id}",
        Names(&[("PATCH", "/api/devices/DEVICE", "{\"name\": \"Mine\"}"), ("DELETE", "/api/devices/DEVICE", "")]),
    ),
];

#[test]
fn every_route_is_in_the_table() {
    let declared = Routes::declare().table;
    let routes: BTreeSet<&str> = declared.addresses().map(|route| route.path).collect();
    let table: BTreeSet<&str> = ROUTES.iter().map(|(route, _)| *route).collect();
    assert_eq!(routes, table);
}

async fn other_accounts_objects_are_not_found(db: TestDb) {
    let server = serve(&db);
    add_user(&db, ALEX, "member");
    let mut kim = signed_in(&server, KIM, "Kim's");
    let mut alex = signed_in(&server, ALEX, "Secretly Alex's");
    // A second device that is not acknowledged.
    signed_in(&server, ALEX, "Also Alex's");
    let (session, device) = (session_id(&mut alex), device_id(&mut alex));
    let draft = json!({"id": "0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a111", "kind": "draft.put", "draftId": "alexs", "text": "Alex", "baseVersion": 0});
    assert_eq!(alex.json("POST", "/api/session/sync", &json!({"operations": [draft]})).status, 200);
    let before = state(&db);
    for (route, reach) in ROUTES {
        match reach {
            NamesNothing => {}
            Shows => assert_shows_nothing(&mut kim, route),
            Names(calls) => {
                for (method, address, body) in *calls {
                    let named = |text: &str| {
                        text.replace("SESSION", &session).replace("DEVICE", &device).replace("DRAFT", "alexs")
                    };
                    let answer = call(&mut kim, method, &named(address), &named(body));
                    assert_eq!(answer.status, 404, "{method} {address} {body}: {answer:?}");
                    assert!(!answer.body.contains("Alex"), "{answer:?}");
                    // The answer is the same as for an id that never existed.
                    let unknown = |text: &str| {
                        text.replace("SESSION", "aiq_1_x").replace("DEVICE", "dev_x").replace("DRAFT", "nobodys")
                    };
                    let nothing = call(&mut kim, method, &unknown(address), &unknown(body));
                    assert_eq!(nothing.status, 404, "{method} {address} {body}");
                }
            }
        }
    }
    assert_shows_nothing(&mut kim, "/devices");
    assert_shows_nothing(&mut kim, "/drafts?draft=alexs");
    assert_eq!(state(&db), before, "the other account's data has changed");
    assert!(is_signed_in(&mut alex));
}

fn call(client: &mut Client, method: &str, address: &str, body: &str) -> Answer {
    match method {
        "GET" => client.get(address),
        "FORM" => {
            let body = body.replace("PASSWORD", crate::support::PASSWORD);
            let fields: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            form(client, address, &fields)
        }
        method => {
            let body: Value = if body.is_empty() { json!(null) } else { serde_json::from_str(body).unwrap() };
            client.json(method, address, &body)
        }
    }
}

fn assert_shows_nothing(client: &mut Client, route: &str) {
    let answer = client.get(route);
    assert_eq!(answer.status, 200, "{route}: {answer:?}");
    assert!(!answer.body.contains("Alex") && !answer.body.contains(ALEX), "{route}: {}", answer.body);
}

/// All data of the other account that the calls in the table could change.
fn state(db: &TestDb) -> (String, usize, usize) {
    (
        db.sql(
            "SELECT d.name || d.id || coalesce('answered' || CAST(d.acknowledged_at AS TEXT), '') FROM devices d \
             JOIN accounts a ON a.id = d.account_id WHERE a.email = 'alex@example.com' ORDER BY 1",
        ),
        count(
            db,
            "sessions WHERE ended_at IS NULL AND account_id = (SELECT id FROM accounts WHERE email LIKE 'alex%')",
        ),
        count(db, "audit WHERE account_id = (SELECT id FROM accounts WHERE email LIKE 'alex%')"),
    )
}

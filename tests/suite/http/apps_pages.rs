//! The pages on which admins manage protected apps, and the tiles of the dashboard.

use serde_json::json;

use super::{ALEX, KIM};
use crate::support::{Answer, App, Client, Engine, PASSWORD, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    an_app_is_added_changed_and_removed_by_forms,
    members_neither_see_nor_change_apps,
    a_change_needs_a_recent_password_and_loses_nothing,
    a_refused_form_says_why_beside_the_field,
    the_dashboard_shows_the_apps_that_a_person_may_open,
    every_deed_of_an_admin_is_in_their_activity,
}

const SHOP: &str = "https://shop.example.com";

fn serve(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    add_user(db, ALEX, "member");
    App::start(db, &[])
}

fn signed_in(server: &App, email: &str) -> Client {
    let mut client = server.client();
    client.log_in(email);
    client
}

fn let_confirmations_lapse(db: &TestDb) {
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
}

fn form(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.form_token("/account");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    client.form(path, &fields)
}

/// The text of an element with this id, without markup.
fn text_of<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}: {page}"));
    rest.split_once('>').and_then(|(_, rest)| rest.split('<').next()).unwrap_or_default().trim()
}

/// Adds an app by the form, and returns the answer and its id.
fn add(client: &mut Client, more: &[(&str, &str)]) -> (Answer, String) {
    let fields = [&[("name", "Shop"), ("url", SHOP)], more].concat();
    let answer = form(client, "/apps", &fields);
    assert_eq!(answer.status, 200, "{answer:?}");
    let (_, rest) = answer.body.split_once("href=\"/apps/app_").expect("the app's page");
    let id = format!("app_{}", rest.split(['"', '#']).next().unwrap());
    (answer, id)
}

fn leads_to(answer: &Answer, address: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(address)), "{answer:?}");
}

async fn an_app_is_added_changed_and_removed_by_forms(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    assert!(kim.get("/apps").body.contains("There is no app yet."));
    let (added, id) = add(&mut kim, &[("who", "everyone"), ("upstream", "127.0.0.1:4000")]);
    assert_eq!(added.header("cache-control"), Some("no-store"));
    let (token, secret) = (text_of(&added.body, "gate-token"), text_of(&added.body, "server-secret"));
    assert_eq!((token.len(), secret.len()), (43, 43), "{added:?}");
    for proxy in ["nginx", "caddy", "traefik", "haproxy", "envoy"] {
        let (_, rest) = added.body.split_once(&format!("id=\"configuration-{proxy}\"")).expect("a configuration");
        let configuration = rest.split("</pre>").next().unwrap();
        assert!(configuration.contains(token) && configuration.contains("4000"), "{proxy}: {configuration}");
    }
    let page = kim.get(&format!("/apps/{id}")).body;
    assert!(page.contains("Waiting for the first request") && page.contains("GATE_TOKEN"), "{page}");
    assert!(!page.contains(token) && !page.contains(secret), "secrets are shown once");
    db.sql(&format!("UPDATE apps SET last_used_at = INSTANT(-120) WHERE id = '{id}'"));
    let page = kim.get(&format!("/apps/{id}")).body;
    assert!(page.contains("It works. Last request:") && page.contains("2 minutes ago"), "{page}");

    let fields =
        [("name", "Laden"), ("url", SHOP), ("who", "some"), ("admins", "yes"), ("people", ALEX), ("observe", "yes")];
    leads_to(&form(&mut kim, &format!("/apps/{id}"), &fields), &format!("/apps/{id}?done=saved"));
    let list = kim.get("/apps").body;
    assert!(list.contains("Laden") && list.contains("Only admins and one person"), "{list}");
    assert!(list.contains("Only observed"), "{list}");
    let page = kim.get(&format!("/apps/{id}")).body;
    assert!(page.contains(&format!("{ALEX}</textarea>")), "{page}");

    let deed = |act| [("act", act)];
    let path = format!("/apps/{id}/confirm");
    assert!(kim.get(&format!("{path}?act=disable")).body.contains("Disable Laden?"));
    leads_to(&form(&mut kim, &path, &deed("disable")), &format!("/apps/{id}?done=disabled"));
    assert!(kim.get("/apps").body.contains("Disabled"));
    leads_to(&form(&mut kim, &path, &deed("enable")), &format!("/apps/{id}?done=enabled"));
    let new = form(&mut kim, &path, &deed("new-token"));
    assert_ne!(text_of(&new.body, "gate-token"), token);
    assert_eq!((new.status, new.header("cache-control")), (200, Some("no-store")));
    assert!(!new.body.contains("server-secret"), "{new:?}");
    assert_ne!(text_of(&form(&mut kim, &path, &deed("new-secret")).body, "server-secret"), secret);
    leads_to(&form(&mut kim, &path, &deed("remove")), "/apps?done=removed");
    assert_eq!(kim.get(&format!("/apps/{id}")).status, 404);
    assert_eq!(form(&mut kim, &path, &deed("enable")).status, 404);
}

async fn members_neither_see_nor_change_apps(db: TestDb) {
    let server = serve(&db);
    let (mut kim, mut alex) = (signed_in(&server, KIM), signed_in(&server, ALEX));
    let (_, id) = add(&mut kim, &[("who", "everyone")]);
    assert!(kim.get("/dashboard").body.contains("href=\"/apps\""));
    assert!(!alex.get("/dashboard").body.contains("href=\"/apps\""));
    let (one, deed) = (format!("/apps/{id}"), format!("/apps/{id}/confirm?act=remove"));
    for page in ["/apps", &one, &deed] {
        assert_eq!(alex.get(page).status, 403, "{page}");
    }
    assert_eq!(form(&mut alex, "/apps", &[("name", "Mine"), ("url", "https://mine.example.com")]).status, 403);
    assert_eq!(form(&mut alex, &one, &[("name", "Mine"), ("url", SHOP)]).status, 403);
    assert_eq!(form(&mut alex, &format!("/apps/{id}/confirm"), &[("act", "remove")]).status, 403);
    assert_eq!(db.sql("SELECT name FROM apps"), "Shop");
    assert_eq!(server.client().get("/apps").header("location"), Some("/login?next=%2Fapps"));
    // The role is read with each request.
    db.sql(&format!("UPDATE accounts SET role = 'admin' WHERE email = '{ALEX}'"));
    assert_eq!(signed_in(&server, ALEX).get("/apps").status, 200);
}

async fn a_change_needs_a_recent_password_and_loses_nothing(db: TestDb) {
    let server = serve(&db);
    assert!(!signed_in(&server, KIM).get("/apps").body.contains("current_password"));
    let mut kim = signed_in_again(&server, &db);
    assert!(kim.get("/apps").body.contains("name=\"current_password\""));
    let fields = [("name", "Shop"), ("url", SHOP), ("who", "some"), ("groups", "Till staff")];
    let answer = form(&mut kim, "/apps", &fields);
    assert_eq!(answer.status, 422, "{answer:?}");
    let wrong = form(&mut kim, "/apps", &[&fields[..], &[("current_password", "not the password 1")]].concat());
    assert_eq!(wrong.status, 401, "{wrong:?}");
    for shown in [&answer.body, &wrong.body] {
        assert!(shown.contains("current_password-error") && shown.contains("value=\"Shop\""), "{shown}");
        assert!(shown.contains("Till staff</textarea>") && !shown.contains("not the password"), "{shown}");
    }
    assert_eq!(db.sql("SELECT count(*) FROM apps"), "0");
    let (_, id) = add(&mut kim, &[("who", "everyone"), ("current_password", PASSWORD)]);
    assert_eq!(kim.get("/api/session").status, 200, "the new key came with the answer");
    let mut kim = signed_in_again(&server, &db);
    let path = format!("/apps/{id}/confirm");
    let asked = kim.get(&format!("{path}?act=remove")).body;
    assert!(asked.contains("Remove Shop?") && asked.contains("name=\"current_password\""), "{asked}");
    assert_eq!(form(&mut kim, &path, &[("act", "remove")]).status, 422);
    assert_eq!(form(&mut kim, &path, &[("act", "remove"), ("current_password", "wrong")]).status, 401);
    assert_eq!(db.sql("SELECT count(*) FROM apps"), "1");
    leads_to(&form(&mut kim, &path, &[("act", "remove"), ("current_password", PASSWORD)]), "/apps?done=removed");
}

/// A new sign-in whose confirmation has lapsed before its first request.
fn signed_in_again(server: &App, db: &TestDb) -> Client {
    let client = signed_in(server, KIM);
    let_confirmations_lapse(db);
    client
}

type Fields<'a> = &'a [(&'a str, &'a str)];

async fn a_refused_form_says_why_beside_the_field(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    let (_, id) = add(&mut kim, &[("who", "everyone")]);
    let blog = "https://blog.example.com";
    let cases: [(Fields, &str, &str); 10] = [
        (&[("name", " "), ("url", blog)], "name", "Enter a name."),
        (&[("name", "a\u{202E}b"), ("url", blog)], "name", "readable text"),
        (&[("name", "Blog"), ("url", "blog")], "url", "such as https://shop.example.com."),
        (&[("name", "Blog"), ("url", SHOP)], "url", "The address https://shop.example.com belongs to another app."),
        (&[("name", "Blog"), ("url", blog), ("who", "some")], "who", "Choose a role"),
        (&[("name", "Blog"), ("url", blog), ("who", "anybody")], "who", "Choose who may use it"),
        (&[("name", "Blog"), ("url", blog), ("who", "some"), ("groups", "-x")], "groups", "name of a group"),
        (&[("name", "Blog"), ("url", blog), ("who", "some"), ("people", "nobody@x.example")], "people", "no account"),
        (&[("name", "Blog"), ("url", blog), ("public", "health")], "public", "public path"),
        (&[("name", "Blog"), ("url", blog), ("upstream", "nowhere")], "upstream", "HOST:PORT"),
    ];
    for (fields, field, words) in cases {
        let is_chosen = fields.iter().any(|(name, _)| *name == "who");
        let sent = if is_chosen { fields.to_vec() } else { [fields, &[("who", "everyone")]].concat() };
        let answer = form(&mut kim, "/apps", &sent);
        assert_eq!(answer.status, 422, "{fields:?}");
        let (_, rest) =
            answer.body.split_once(&format!("id=\"{field}-error\"")).unwrap_or_else(|| panic!("{answer:?}"));
        assert!(rest.split("</p>").next().unwrap().contains(words), "{field}: {rest}");
        for (_, typed) in fields.iter().filter(|(name, _)| *name != "who") {
            assert!(answer.body.contains(typed), "{typed}: {answer:?}");
        }
        assert_eq!(answer.body.matches(" autofocus").count(), 1, "{answer:?}");
    }
    let changed = form(
        &mut kim,
        &format!("/apps/{id}"),
        &[("name", "Other"), ("url", "https://x.example/path"), ("who", "everyone")],
    );
    assert_eq!(changed.status, 422);
    assert!(changed.body.contains("more than an origin") && changed.body.contains("value=\"Other\""), "{changed:?}");
    let stale = kim.form("/apps", &[("csrf", "stale"), ("name", "Blog"), ("url", blog)]);
    assert_eq!(stale.status, 422);
    assert!(stale.body.contains("open for a while") && stale.body.contains("value=\"Blog\""), "{stale:?}");
    assert_eq!(db.sql("SELECT count(*) FROM apps"), "1");
}

async fn the_dashboard_shows_the_apps_that_a_person_may_open(db: TestDb) {
    let server = serve(&db);
    let (mut kim, mut alex) = (signed_in(&server, KIM), signed_in(&server, ALEX));
    let page = kim.get("/dashboard").body;
    assert!(page.contains("Add the first app"), "{page}");
    assert!(!alex.get("/dashboard").body.contains("Add the first app"));
    let (_, id) = add(&mut kim, &[("who", "some"), ("owners", "yes")]);
    let tile = format!("href=\"{SHOP}/\"");
    let page = kim.get("/dashboard").body;
    assert!(page.contains(&tile) && page.contains("<b>Shop</b>") && page.contains("shop.example.com"), "{page}");
    assert!(!alex.get("/dashboard").body.contains(&tile));
    form(&mut kim, &format!("/apps/{id}"), &[("name", "Shop"), ("url", SHOP), ("who", "everyone")]);
    assert!(alex.get("/dashboard").body.contains(&tile));
    form(&mut kim, &format!("/apps/{id}/confirm"), &[("act", "disable")]);
    assert!(!alex.get("/dashboard").body.contains(&tile) && !kim.get("/dashboard").body.contains(&tile));
}

async fn every_deed_of_an_admin_is_in_their_activity(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    let (_, id) = add(&mut kim, &[("who", "everyone")]);
    let path = format!("/apps/{id}/confirm");
    for act in ["disable", "enable", "enable", "new-token", "new-secret", "remove"] {
        form(&mut kim, &path, &[("act", act)]);
    }
    let events = kim.get("/api/activity").json();
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["detail"] == json!(format!("Shop at {SHOP}")))
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["app.removed", "app.changed", "app.changed", "app.changed", "app.changed", "app.added"],
        "{events:#}"
    );
    let page = kim.get("/activity?show=changes").body;
    assert!(page.contains("App removed") && page.contains("App added"), "{page}");
}

/// Many drafts saved do not push out what else happened.
#[test]
fn the_dashboard_leaves_out_saved_drafts() {
    let db = TestDb::new(Engine::Sqlite);
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    let columns = "id, at, kind, account_id, actor";
    db.sql(&format!(
        "INSERT INTO audit ({columns}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) \
         SELECT 1000 + i, INSTANT(-60), 'sync.applied', (SELECT id FROM accounts WHERE email = '{KIM}'), 'system' FROM n"
    ));
    let page = kim.get("/dashboard").body;
    assert!(page.contains("Signed in on a new device") && !page.contains("Drafts saved"), "{page}");
    assert!(kim.get("/activity").body.contains("Drafts saved"));
}

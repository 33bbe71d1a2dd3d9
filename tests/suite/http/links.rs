//! One-time links: invitations, links for a new password, and requests for help.

use std::sync::Barrier;

use serde_json::{Value, json};

use super::{ALEX, KIM};
use crate::support::{
    Answer, App, Client, Engine, PASSWORD, Server, TestDb, add_user, eventually, on_both_engines_and_citus, sessile,
};

on_both_engines_and_citus! {
    an_invited_person_chooses_a_password_and_is_in,
    who_is_invited_again_gets_a_new_link_and_the_old_one_is_dead,
    a_password_link_ends_all_sessions_and_the_request_for_help,
    a_link_works_once_even_if_two_use_it_at_once,
    a_link_works_for_its_own_purpose_and_until_it_expires,
    opening_a_link_changes_nothing,
    links_are_made_by_admins_for_people_below_them,
    making_a_link_needs_a_recent_password,
    a_request_for_help_looks_the_same_for_every_address,
    pages_make_links_and_show_them_once,
    commands_print_links,
}

const NEW: &str = "new@example.com";
const OTHER_PASSWORD: &str = "purple limpets hum at noon";

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

fn id_of(db: &TestDb, email: &str) -> String {
    db.sql(&format!("SELECT id FROM accounts WHERE email = '{email}'"))
}

/// Invites through the API.
fn invite(admin: &mut Client, body: &Value) -> Answer {
    admin.json("POST", "/api/people/invitations", body)
}

fn password_link(admin: &mut Client, id: &str) -> Answer {
    admin.json("POST", &format!("/api/people/{id}/password-link"), &json!({}))
}

/// The path of the link in an answer of the API.
fn path_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    path_in(answer.json()["link"].as_str().unwrap())
}

fn path_in(link: &str) -> String {
    let (_, token) = link.split_once("/link/").unwrap_or_else(|| panic!("no link: {link}"));
    assert_eq!(token.len(), 43, "{token}");
    format!("/link/{token}")
}

/// Opens a link and sends its form.
fn use_link(client: &mut Client, path: &str, name: &str, password: &str) -> Answer {
    let page = client.get(path);
    if page.status != 200 {
        return page;
    }
    client.form(path, &[("csrf", &page.form_token()), ("name", name), ("password", password)])
}

fn form(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.form_token("/account");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    client.form(path, &fields)
}

fn leads_to(answer: &Answer, address: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(address)), "{answer:?}");
}

async fn an_invited_person_chooses_a_password_and_is_in(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    let body = json!({"email": "New@Example.com", "name": "Marta", "role": "admin", "groups": ["Till staff"]});
    let made = invite(&mut kim, &body);
    let path = path_of(&made);
    let expires = made.json()["expiresAt"].as_str().unwrap().to_owned();
    assert!(expires.ends_with('Z') && made.header("cache-control") == Some("no-store"), "{made:?}");
    let soon = db.sql("SELECT count(*) FROM links WHERE expires_at BETWEEN INSTANT(86000) AND INSTANT(86500)");
    assert_eq!(soon, "1", "a day");
    for password in [PASSWORD, ""] {
        assert!(matches!(server.client().try_log_in("new@example.com", password).status, 400 | 401), "no password yet");
    }
    let mut marta = server.client();
    let page = marta.get(&path);
    assert!(page.body.contains("value=\"Marta\"") && page.body.contains("New@Example.com"), "{page:?}");
    assert!(page.body.contains("<meta name=\"referrer\" content=\"origin\">"), "{page:?}");
    let weak = use_link(&mut marta, &path, "Marta M", "too short");
    assert!(weak.status == 422 && weak.body.contains("value=\"Marta M\""), "{weak:?}");
    assert_eq!(use_link(&mut marta, &path, "Marta M", "passwordpassword").status, 422);
    leads_to(&use_link(&mut marta, &path, "Marta M", PASSWORD), "/dashboard");
    let user = marta.get("/api/session").json()["user"].clone();
    assert_eq!((&user["name"], &user["role"]), (&json!("Marta M"), &json!("admin")), "{user}");
    assert_eq!(db.sql("SELECT groups FROM accounts WHERE invited_at IS NULL AND role = 'admin'"), "Till staff");
    assert_eq!(server.client().log_in("new@example.com").status, 200);
    for client in [&mut server.client(), &mut marta] {
        let gone = client.get(&path);
        assert!(gone.status == 410 && gone.body.contains("This link no longer works"), "{gone:?}");
    }
    let kinds =
        db.sql(&format!("SELECT kind FROM audit WHERE account_id = '{}' ORDER BY id", user["id"].as_str().unwrap()));
    let kinds: Vec<&str> = kinds.lines().filter(|kind| *kind != "login.failed").collect();
    assert!(kinds.starts_with(&["account.invited", "account.created"]), "{kinds:?}");
    let own = kim.get("/api/activity?limit=1").json()["events"][0].clone();
    assert_eq!(
        (&own["kind"], &own["detail"]),
        (&json!("account.invited"), &json!(format!("of {}", user["id"].as_str().unwrap()))),
        "{own}"
    );
}

async fn who_is_invited_again_gets_a_new_link_and_the_old_one_is_dead(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    let first = path_of(&invite(&mut kim, &json!({"email": NEW, "name": "Marta", "groups": ["Night"]})));
    let second = path_of(&invite(&mut kim, &json!({"email": NEW})));
    assert_eq!(server.client().get(&first).status, 410);
    assert!(server.client().get(&second).body.contains("value=\"Marta\""), "what was said before stays");
    assert_eq!(db.sql("SELECT groups FROM accounts WHERE invited_at IS NOT NULL"), "Night");
    let id = id_of(&db, NEW);
    leads_to(
        &form(&mut kim, &format!("/people/{id}/link"), &[("act", "cancel")]),
        &format!("/people/{id}?done=cancelled"),
    );
    assert_eq!(server.client().get(&second).status, 410, "cancelled");
    assert_eq!(password_link(&mut kim, &id).problem(), "conflict");
    let third = path_of(&invite(&mut kim, &json!({"email": NEW})));
    leads_to(&use_link(&mut server.client(), &third, "", PASSWORD), "/dashboard");
    for email in [NEW, "NEW@example.com", ALEX] {
        let taken = invite(&mut kim, &json!({"email": email}));
        assert_eq!((taken.status, taken.problem().as_str()), (409, "conflict"), "{taken:?}");
    }
    assert_eq!(invite(&mut kim, &json!({"email": "nobody"})).status, 400);
    assert_eq!(invite(&mut kim, &json!({"email": "a@example.com", "groups": ["a,b"]})).status, 400);
    assert_eq!(invite(&mut kim, &json!({"email": "a@example.com", "role": "king"})).status, 400);
}

async fn a_password_link_ends_all_sessions_and_the_request_for_help(db: TestDb) {
    let server = serve(&db);
    let (mut kim, mut phone, mut desk) = (signed_in(&server, KIM), signed_in(&server, ALEX), signed_in(&server, ALEX));
    let mut visitor = server.client();
    let csrf = visitor.form_token("/forgot");
    leads_to(&visitor.form("/forgot", &[("csrf", &csrf), ("email", ALEX)]), "/forgot?done=asked");
    eventually("a request", async || kim.get("/dashboard").body.contains("Somebody needs help")).await;
    assert!(!phone.get("/dashboard").body.contains("Somebody needs help"), "only admins see it");
    let id = id_of(&db, ALEX);
    let path = path_of(&password_link(&mut kim, &id));
    assert_eq!(server.client().log_in(ALEX).status, 200, "the old password works until then");
    assert_eq!(phone.get("/api/session").status, 200);
    let mut new = server.client();
    leads_to(&use_link(&mut new, &path, "", OTHER_PASSWORD), "/dashboard");
    assert_eq!(new.get("/api/session").json()["user"]["id"], json!(id));
    for client in [&mut phone, &mut desk] {
        assert_eq!(client.get("/api/session").status, 401);
    }
    assert_eq!(server.client().try_log_in(ALEX, PASSWORD).status, 401);
    assert_eq!(server.client().try_log_in(ALEX, OTHER_PASSWORD).status, 200);
    assert!(!kim.get("/dashboard").body.contains("Somebody needs help"));
    let kinds = db.sql(&format!("SELECT kind FROM audit WHERE account_id = '{id}' ORDER BY id"));
    for kind in ["password.help-asked", "password.link-made", "password.reset"] {
        assert!(kinds.contains(kind), "{kind}: {kinds}");
    }
    let activity = new.get("/activity").body;
    assert!(activity.contains("An administrator made you a link for a new password"), "{activity}");
    let own = path_of(&password_link(&mut kim, &id));
    let fields = [("current_password", OTHER_PASSWORD), ("password", PASSWORD), ("end_others", "yes")];
    leads_to(&form(&mut new, "/account", &fields), "/account?done=password-everywhere");
    assert_eq!(server.client().get(&own).status, 410, "a changed password makes links stop working");
}

async fn a_link_works_once_even_if_two_use_it_at_once(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    for path in
        [path_of(&invite(&mut kim, &json!({"email": NEW}))), path_of(&password_link(&mut kim, &id_of(&db, ALEX)))]
    {
        let start = Barrier::new(2);
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let send = |password: &'static str| {
                let (mut client, path, start) = (server.client(), &path, &start);
                scope.spawn(move || {
                    let csrf = client.form_token(path);
                    start.wait();
                    client.form(path, &[("csrf", &csrf), ("password", password)]).status
                })
            };
            let threads = [send(PASSWORD), send(OTHER_PASSWORD)];
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 410]);
    }
    assert_eq!(db.sql("SELECT count(*) FROM links WHERE used_at IS NOT NULL"), "2");
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind IN ('password.reset') "), "1");
}

async fn a_link_works_for_its_own_purpose_and_until_it_expires(db: TestDb) {
    let empty = TestDb::new(db.engine);
    let setup = App::start(&empty, &[]).setup_token();
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    let path = path_of(&invite(&mut kim, &json!({"email": NEW})));
    let token = path.trim_start_matches("/link/");
    assert_eq!(server.client().get(&format!("/setup?token={token}")).status, 403);
    let other = App::start(&empty, &[]);
    assert_eq!(other.client().get(&format!("/link/{setup}")).status, 410, "the set-up has its own page");
    for odd in ["x", &token[..42], &format!("{token}x"), &token.to_lowercase(), "%00", &"a".repeat(43)] {
        assert_eq!(server.client().get(&format!("/link/{odd}")).status, 410, "{odd}");
    }
    let mut client = server.client();
    let csrf = client.form_token(&path);
    // The account has a password now, so that the invitation has lost its meaning.
    db.sql(&format!("UPDATE accounts SET invited_at = NULL WHERE email = '{NEW}'"));
    assert_eq!(client.form(&path, &[("csrf", &csrf), ("password", PASSWORD)]).status, 410);
    db.sql(&format!("UPDATE accounts SET invited_at = INSTANT(0) WHERE email = '{NEW}'"));
    assert_eq!(client.get(&path).status, 200);
    db.sql("UPDATE links SET expires_at = INSTANT(-1)");
    assert_eq!(client.get(&path).status, 410);
    assert_eq!(client.form(&path, &[("csrf", &csrf), ("password", PASSWORD)]).status, 410);
    let alex = path_of(&password_link(&mut kim, &id_of(&db, ALEX)));
    let csrf = client.form_token(&alex);
    db.sql(&format!("UPDATE accounts SET disabled_at = INSTANT(-1) WHERE email = '{ALEX}'"));
    assert_eq!(client.get(&alex).status, 410, "disabled");
    assert_eq!(client.form(&alex, &[("csrf", &csrf), ("password", OTHER_PASSWORD)]).status, 410);
    assert_eq!(password_link(&mut kim, &id_of(&db, ALEX)).problem(), "conflict");
    assert_eq!(db.sql("SELECT count(*) FROM links WHERE used_at IS NOT NULL"), "0");
    db.sql("UPDATE links SET expires_at = INSTANT(-90000)");
    let sessions = db.sessions().await;
    assert!(sessile::records::link::sweep(&sessions.db).await.unwrap() >= 2);
    assert_eq!(db.sql("SELECT count(*) FROM account_of_link"), db.sql("SELECT count(*) FROM links"));
}

async fn opening_a_link_changes_nothing(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    let path = path_of(&invite(&mut kim, &json!({"email": NEW})));
    let state = || {
        let rows =
            ["SELECT count(*) FROM audit", "SELECT count(*) FROM sessions", "SELECT count(*) FROM throttle_counts"];
        let rows: Vec<String> = rows.iter().map(|rows| db.sql(rows)).collect();
        (rows, db.sql("SELECT count(*) FROM links WHERE used_at IS NULL AND expires_at > INSTANT(0)"))
    };
    let before = state();
    for method in ["GET", "HEAD", "GET"] {
        let opened = server.client().send(method, &path, &[("Sec-Fetch-Site", "cross-site")], b"");
        assert_eq!(opened.status, 200, "{opened:?}");
        assert!(opened.sets("aiq_session").is_none());
    }
    let stale = server.client().form(&path, &[("csrf", "stale"), ("name", "Marta"), ("password", PASSWORD)]);
    assert!(stale.status == 422 && stale.body.contains("value=\"Marta\""), "{stale:?}");
    let elsewhere = [("Origin", "https://evil.example"), ("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(server.client().send("POST", &path, &elsewhere, b"password=x").status, 403);
    assert_eq!(state(), before);
}

async fn links_are_made_by_admins_for_people_below_them(db: TestDb) {
    let server = serve(&db);
    for (email, role) in [("olga@example.com", "owner"), ("ada@example.com", "admin"), ("bea@example.com", "admin")] {
        add_user(&db, email, role);
    }
    let people = [(KIM, "owner"), ("ada@example.com", "admin"), (ALEX, "member")];
    let targets = ["olga@example.com", "bea@example.com", ALEX];
    let may = |actor: &str, target: usize| match actor {
        "owner" => target > 0,
        "admin" => target > 1,
        _ => false,
    };
    for (email, role) in people {
        let mut client = signed_in(&server, email);
        for (n, target) in targets.iter().enumerate() {
            let answer = password_link(&mut client, &id_of(&db, target));
            assert_eq!(answer.status, if may(role, n) { 201 } else { 403 }, "{role} on {target}: {answer:?}");
            let page = client.get(&format!("/people/{}/link", id_of(&db, target)));
            assert_eq!(page.status, if may(role, n) { 200 } else { 403 }, "{role} on {target}");
        }
        for (n, given) in ["owner", "admin", "member"].iter().enumerate() {
            let answer = invite(&mut client, &json!({"email": format!("{role}-{given}@example.com"), "role": given}));
            let expected = if may(role, n) || role == "owner" { 201 } else { 403 };
            assert_eq!(answer.status, expected, "{role} invites {given}: {answer:?}");
        }
        let unknown = password_link(&mut client, "acc_0000000000000000000000");
        assert_eq!(unknown.status, if role == "member" { 403 } else { 404 });
    }
    let mut nobody = server.client();
    assert_eq!(invite(&mut nobody, &json!({"email": NEW})).problem(), "login-required");
    let mut ada = signed_in(&server, "ada@example.com");
    let again = invite(&mut ada, &json!({"email": "owner-admin@example.com"}));
    assert_eq!(again.status, 403, "an admin does not invite an admin again: {again:?}");
}

async fn making_a_link_needs_a_recent_password(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
    assert_eq!(invite(&mut kim, &json!({"email": NEW})).problem(), "confirmation-required");
    assert_eq!(password_link(&mut kim, &id_of(&db, ALEX)).problem(), "confirmation-required");
    assert_eq!(db.sql(&format!("SELECT count(*) FROM accounts WHERE email = '{NEW}'")), "0");
    let refused = form(&mut kim, "/people/invite", &[("email", NEW), ("name", "Marta"), ("groups", "Night")]);
    assert!(refused.status == 422 && refused.body.contains("current_password-error"), "{refused:?}");
    assert!(refused.body.contains("value=\"Marta\"") && refused.body.contains("value=\"Night\""), "{refused:?}");
    let fields = [("email", NEW), ("current_password", "not the password 1")];
    assert_eq!(form(&mut kim, "/people/invite", &fields).status, 401);
    let shown = form(&mut kim, "/people/invite", &[("email", NEW), ("current_password", PASSWORD)]);
    assert!(shown.status == 200 && shown.body.contains("/link/"), "{shown:?}");
}

async fn a_request_for_help_looks_the_same_for_every_address(db: TestDb) {
    let server = serve(&db);
    add_user(&db, "gone@example.com", "member");
    db.sql("UPDATE accounts SET disabled_at = INSTANT(-1) WHERE email = 'gone@example.com'");
    let mut answers = Vec::new();
    for email in ["nobody@example.com", "gone@example.com", ALEX, ALEX] {
        let mut visitor = server.client();
        let csrf = visitor.form_token("/forgot");
        let answer = visitor.form("/forgot", &[("csrf", &csrf), ("email", email)]);
        leads_to(&answer, "/forgot?done=asked");
        answers.push(visitor.get("/forgot?done=asked").body.len());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    eventually("a request", async || db.sql("SELECT count(*) FROM help_requests") == "1").await;
    let asked = db.sql("SELECT count(*) FROM audit WHERE kind = 'password.help-asked'");
    assert_eq!(asked, "1", "asking twice is one request");
    let mut visitor = server.client();
    let csrf = visitor.form_token("/forgot");
    assert_eq!(visitor.form("/forgot", &[("csrf", &csrf), ("email", "x")]).status, 422);
    let send =
        |visitor: &mut Client| visitor.form("/forgot", &[("csrf", &csrf), ("email", "nobody@example.com")]).status;
    let statuses: Vec<u16> = (0..20).map(|_| send(&mut visitor)).collect();
    assert!(statuses.contains(&429), "a network is slowed down: {statuses:?}");
    assert!(server.client().get("/login").body.contains("href=\"/forgot\""));
}

async fn pages_make_links_and_show_them_once(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server, KIM);
    let page = kim.get("/people/invite").body;
    assert!(page.contains("value=\"owner\"") && !page.contains("current_password"), "{page}");
    let shown = form(&mut kim, "/people/invite", &[("email", NEW), ("name", "Marta"), ("role", "member")]);
    assert_eq!((shown.status, shown.header("cache-control")), (200, Some("no-store")), "{shown:?}");
    assert!(shown.body.contains("<svg class=\"qr\"") && shown.body.contains("Marta is invited"), "{shown:?}");
    let text = shown.body.split("id=\"one-time-link\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(text.starts_with(&format!("http://localhost:{}/link/", server.port)), "{text}");
    leads_to(&use_link(&mut server.client(), &path_in(&text), "Marta", PASSWORD), "/dashboard");
    let taken = form(&mut kim, "/people/invite", &[("email", NEW)]);
    assert!(taken.status == 422 && taken.body.contains("already an account"), "{taken:?}");
    for (fields, field) in [
        ([("email", "new"), ("name", "x"), ("groups", "")], "email"),
        ([("email", "b@example.com"), ("name", "a\u{202E}b"), ("groups", "")], "name"),
        ([("email", "b@example.com"), ("name", "x"), ("groups", "-x")], "groups"),
    ] {
        let refused = form(&mut kim, "/people/invite", &fields);
        assert!(refused.status == 422 && refused.body.contains(&format!("{field}-error")), "{field}: {refused:?}");
    }
    let id = id_of(&db, ALEX);
    let path = format!("/people/{id}/link");
    assert!(kim.get(&path).body.contains("to choose a new password?"));
    let shown = form(&mut kim, &path, &[("act", "password")]);
    assert!(shown.status == 200 && shown.body.contains("/link/"), "{shown:?}");
    assert_eq!(kim.get(&format!("{path}?act=no")).status, 404);
    assert_eq!(kim.get("/people/acc_0000000000000000000000/link").status, 404);
    assert_eq!(signed_in(&server, ALEX).get("/people/invite").status, 403);
}

async fn commands_print_links(db: TestDb) {
    let server = serve(&db);
    let printed = |args: &[&str]| {
        let out = sessile(&db, args, "");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (out.status.code(), text, String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let invite =
        ["user", "invite", "--email", NEW, "--name", "Marta", "--role", "owner", "--group", "Night", "--ttl", "2h"];
    let (code, text, _) = printed(&invite);
    assert_eq!(code, Some(0), "{text}");
    let mut lines = text.lines();
    let path = path_in(lines.next().unwrap());
    assert!(lines.next().unwrap().starts_with("works once, until "), "{text}");
    leads_to(&use_link(&mut server.client(), &path, "Marta", PASSWORD), "/dashboard");
    assert_eq!(db.sql("SELECT count(*) FROM accounts WHERE role = 'owner'"), "2");
    let (code, _, words) = printed(&["user", "invite", "--email", NEW]);
    assert!(code == Some(1) && words.contains("already an account"), "{words}");
    let (code, text, _) = printed(&["user", "password-link", KIM]);
    assert_eq!(code, Some(0));
    let path = path_in(text.lines().next().unwrap());
    leads_to(&use_link(&mut server.client(), &path, "", OTHER_PASSWORD), "/dashboard");
    for (args, words) in [
        (["user", "password-link", "nobody@example.com", "--ttl", "1h"], "there is no account"),
        (["user", "password-link", KIM, "--ttl", "0s"], "--ttl"),
        (["user", "password-link", KIM, "--ttl", "90d"], "30d"),
    ] {
        let (code, _, said) = printed(&args);
        assert!(code == Some(1) && said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn a_token_is_neither_in_the_log_nor_in_the_database() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[("SESSILE_LOG", "info,sessile=trace")]);
    let mut kim = server.client();
    kim.log_in(KIM);
    let path = path_of(&invite(&mut kim, &json!({"email": NEW})));
    let token = path.trim_start_matches("/link/").to_owned();
    leads_to(&use_link(&mut server.client(), &path, "Marta", PASSWORD), "/dashboard");
    assert_eq!(server.client().get(&path).status, 410);
    assert_eq!(server.client().get(&format!("/l%69nk/{token}")).status, 410);
    let (_, log) = server.stopped();
    assert!(log.contains("path=/link/…") && !log.contains(&token), "{log}");
    for entry in std::fs::read_dir(&db.folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()), "{}", path.display());
        }
    }
}

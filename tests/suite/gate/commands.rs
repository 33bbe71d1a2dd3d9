//! The `app` commands, beside a running server.

use serde_json::Value;

use super::{Browser, FETCHES, HERE, KIM, Registered, SHOP, serve};
use crate::support::{TestDb, add_user, command, on_both_engines_and_citus};

on_both_engines_and_citus! {
    an_app_is_added_listed_and_shown,
    an_app_is_changed_and_removed_beside_a_server,
    what_cannot_be_an_app_is_refused,
    the_secrets_are_nowhere_in_the_database,
}

/// Exit code, stdout and stderr of a command.
fn run(db: &TestDb, args: &[&str]) -> (Option<i32>, String, String) {
    let output = command(db, &[("SESSILE_PUBLIC_URL", HERE)]).args(args).output().expect("a command");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn ok(db: &TestDb, args: &[&str]) -> String {
    let (code, stdout, stderr) = run(db, args);
    assert_eq!(code, Some(0), "{args:?}: {stderr}");
    stdout
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

fn added(db: &TestDb, more: &[&str]) -> Registered {
    let text =
        ok(db, &[&["app", "add", "--name", "Shop", "--url", "https://SHOP.example.com:443/"][..], more].concat());
    Registered {
        id: field(&text, "id"),
        origin: SHOP.to_owned(),
        token: field(&text, "gateToken"),
        secret: field(&text, "secret"),
    }
}

async fn an_app_is_added_listed_and_shown(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = added(
        &db,
        &[
            "--admit",
            "role:admin",
            "--admit",
            "account:KIM@example.com",
            "--identity",
            "remote",
            "--observe",
            "--public",
            "/health",
        ],
    );
    assert!(app.id.starts_with("app_") && app.token.len() == 43 && app.secret.len() == 43, "{app:?}");
    let line = format!("{}\tShop\t{SHOP}\tenabled\trole:admin account:kim@example.com\n", app.id);
    assert_eq!(ok(&db, &["app", "list"]), line);
    let listed: Value = serde_json::from_str(&ok(&db, &["app", "list", "--json"])).unwrap();
    assert_eq!(
        (&listed[0]["url"], &listed[0]["observe"], &listed[0]["identity"]),
        (&SHOP.into(), &true.into(), &"remote".into())
    );
    let shown = ok(&db, &["app", "show", &app.id]);
    assert_eq!((field(&shown, "public"), field(&shown, "lastUsedAt")), ("/health".to_owned(), "never".to_owned()));
    for text in [ok(&db, &["app", "list", "--json"]), shown] {
        assert!(!text.contains(&app.token) && !text.contains(&app.secret), "{text}");
    }
    let (code, _, stderr) = run(&db, &["app", "show", "app_unknown"]);
    assert!(code == Some(1) && stderr.contains("there is no app app_unknown"), "{stderr}");
}

async fn an_app_is_changed_and_removed_beside_a_server(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = serve(&db);
    let mut app = added(&db, &[]);
    let mut browser = Browser::in_app(&server, &app, KIM);
    assert_eq!(browser.ask(&FETCHES).status, 200);
    ok(&db, &["app", "set", &app.id, "--admit", "role:member", "--name", "Laden"]);
    assert_eq!(browser.ask(&FETCHES).status, 403);
    ok(&db, &["app", "set", &app.id, "--admit", "everyone", "--observe"]);
    ok(&db, &["app", "set", &app.id, "--observe=false"]);
    assert_eq!(browser.ask(&FETCHES).status, 200);
    ok(&db, &["app", "disable", &app.id]);
    assert_eq!(browser.ask(&FETCHES).status, 403);
    assert!(ok(&db, &["app", "list"]).contains("\tLaden\thttps://shop.example.com\tdisabled\t"));
    ok(&db, &["app", "enable", &app.id]);
    app.token = field(&ok(&db, &["app", "rotate-token", &app.id]), "gateToken");
    assert_eq!(browser.ask(&FETCHES).status, 404);
    browser.app.token.clone_from(&app.token);
    assert_eq!(browser.ask(&FETCHES).status, 200);
    assert_ne!(field(&ok(&db, &["app", "rotate-secret", &app.id]), "secret"), app.secret);
    ok(&db, &["app", "remove", &app.id]);
    assert_eq!(browser.ask(&FETCHES).status, 404);
    assert_eq!(ok(&db, &["app", "list"]), "");
    let kinds = db.sql("SELECT kind FROM audit WHERE kind LIKE 'app.%' AND account_id = '' ORDER BY kind");
    let kinds: Vec<&str> = kinds.lines().collect();
    assert_eq!((kinds.first(), kinds.last(), kinds.len()), (Some(&"app.added"), Some(&"app.removed"), 9), "{kinds:?}");
}

async fn what_cannot_be_an_app_is_refused(db: TestDb) {
    add_user(&db, KIM, "owner");
    let add =
        |url: &str, more: &[&str]| run(&db, &[&["app", "add", "--name", "Shop", "--url", url][..], more].concat());
    for (url, more, why) in [
        (HERE, &[][..], "the address https://id.example.com is Sessile's own: "),
        ("https://id.example.com:8443", &[], "Sessile's own host"),
        ("https://a;return.example.com", &[], "not a name or an IP address"),
        ("https://*.example.com", &[], "not a name or an IP address"),
        ("https://shop.example.com.", &[], "not a name or an IP address"),
        ("https://.example.com", &[], "not a name or an IP address"),
        (SHOP, &["--proxy", "nginx", "--upstream", "bad value"], "HOST:PORT"),
        ("https://shop.example.com/path", &[], "more than an origin"),
        ("shop.example.com", &[], "not a URL: write scheme and host, such as https://shop.example.com"),
        ("http://shop.example.com", &[], "no TLS"),
        (SHOP, &["--admit", "role:king"], "not a rule"),
        (SHOP, &["--admit", "group:a,b"], "not the name of a group"),
        (SHOP, &["--admit", "account:nobody@example.com"], "no account"),
        (SHOP, &["--public", "health"], "public path"),
        (SHOP, &["--public", "/.sessile/start"], "public path"),
    ] {
        let (code, stdout, stderr) = add(url, more);
        assert!(code == Some(1) && stdout.is_empty() && stderr.contains(why), "{url} {more:?}: {stderr}");
    }
    assert_eq!(add(SHOP, &["--identity", "other"]).0, Some(2));
    assert_eq!(add(SHOP, &[]).0, Some(0));
    let (code, _, stderr) = add("https://shop.example.com:443", &[]);
    assert!(code == Some(1) && stderr.contains("belongs to another app"), "{stderr}");
    let (code, _, stderr) = add("https://shop.example.com:8443", &[]);
    assert!(code == Some(1) && stderr.contains("on the host of another app"), "{stderr}");
    assert_eq!(add("http://localhost:3000", &["--public", "/health"]).0, Some(0));
    let id = db.sql("SELECT id FROM apps WHERE origin LIKE 'http:%'");
    ok(&db, &["app", "set", &id, "--no-public"]);
    assert_eq!(db.sql("SELECT public_paths FROM apps WHERE origin LIKE 'http:%'"), "");
    assert_eq!(db.sql("SELECT count(*) FROM apps"), "2");
}

async fn the_secrets_are_nowhere_in_the_database(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = added(&db, &[]);
    let server = serve(&db);
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let code = browser.begin("/").split_once("code=").unwrap().1.rsplit('.').next().unwrap().to_owned();
    browser.open("/");
    let cookie = browser.app_cookie().unwrap().rsplit('.').next().unwrap().to_owned();
    let pending = browser.at_app.cookies["__Host-sessile_pending"].split('.').next().unwrap().to_owned();
    let all: Vec<String> = ["apps", "app_grants", "app_codes", "audit", "sessions"]
        .iter()
        .map(|table| match db.engine {
            crate::support::Engine::Postgres => db.sql(&format!("SELECT t::text FROM {table} t")),
            crate::support::Engine::Sqlite => {
                let columns = db.sql(&format!(
                    "SELECT group_concat('quote(' || name || ')', ' || '' '' || ') FROM pragma_table_info('{table}')"
                ));
                db.sql(&format!("SELECT {columns} FROM {table}"))
            }
        })
        .collect();
    let all = all.join("\n");
    assert!(all.contains(&app.id), "{all}");
    for secret in [&app.token, &app.secret, &code, &cookie, &pending] {
        assert!(!all.contains(secret.as_str()), "{secret} in {all}");
    }
}

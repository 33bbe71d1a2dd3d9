//! The operator's own name, logo, colour, contact and privacy page.

use std::path::PathBuf;

use serde_json::Value;

use super::{KIM, serve};
use crate::support::{App, Client, Engine, TestDb, add_user, command};

const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\"><script>alert(1)</script><rect width=\"8\" height=\"8\"/></svg>";

fn file(db: &TestDb, name: &str, content: &[u8]) -> PathBuf {
    let path = db.folder.join(name);
    std::fs::write(&path, content).expect("a file");
    path
}

fn branded(more: &[(&str, &str)]) -> (TestDb, App) {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let logo = file(&db, "logo.svg", SVG.as_bytes());
    let own = [
        ("SESSILE_NAME", "Möwe & Sons"),
        ("SESSILE_LOGO", logo.to_str().expect("a path")),
        ("SESSILE_ACCENT", "#c2185b"),
        ("SESSILE_CONTACT", "Anna, 0171 5550199 or help@example.com"),
        ("SESSILE_PRIVACY_URL", "https://example.com/privacy"),
    ];
    let settings: Vec<_> = own.iter().chain(more).copied().collect();
    let server = App::start(&db, &settings);
    (db, server)
}

/// The address in a page that begins like this.
fn address(page: &str, begins: &str) -> String {
    let at = page.find(begins).unwrap_or_else(|| panic!("{begins}: {page}"));
    page[at..].split('"').next().expect("an address").to_owned()
}

#[test]
fn no_page_names_another_service() {
    let (_db, server) = branded(&[]);
    let mut kim = server.client();
    kim.log_in(KIM);
    let mut stranger = server.client();
    let mut pages: Vec<(&str, String)> = ["/login", "/setup?token=x", "/offline", "/nothing"]
        .map(|path| (path, stranger.get(path).body))
        .into_iter()
        .collect();
    for path in ["/dashboard", "/devices", "/activity", "/drafts", "/account", "/apps", "/confirm", "/nothing"] {
        pages.push((path, kim.get(path).body));
    }
    for (path, page) in &pages {
        assert!(page.contains("· Möwe &#38; Sons</title>"), "{path}: {page}");
        assert!(!page.contains("Sessile"), "{path}: {page}");
        for part in
            ["content=\"Möwe &#38; Sons\"", "tel:01715550199", "mailto:help@example.com", "https://example.com/privacy"]
        {
            assert!(page.contains(part), "{path}: {part}: {page}");
        }
        assert!(page.contains("/static/brand/logo.") && page.contains("/static/brand/accent."), "{path}: {page}");
    }
}

#[test]
fn the_installed_app_has_the_name_and_icons_of_the_operator() {
    let (_db, server) = branded(&[]);
    let mut client = server.client();
    let manifest = client.get("/manifest.webmanifest").json();
    assert_eq!([&manifest["name"], &manifest["short_name"]], [&Value::from("Möwe & Sons"); 2]);
    let icons = manifest["icons"].as_array().expect("icons").clone();
    assert_eq!(icons.len(), 2);
    for icon in &icons {
        let answer = client.get(icon["src"].as_str().expect("an address"));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/svg+xml; charset=utf-8")));
        assert!(answer.body.contains("data:image/svg+xml;base64,") && !answer.body.contains("alert"), "{answer:?}");
    }
    assert_eq!(client.get("/readyz").json()["components"]["pwa"]["status"], "ok");
    let worker = client.get("/sw.js").body;
    let build = worker.lines().next().expect("a line");
    assert!(build.contains("/static/brand/accent.") && build.contains("/static/brand/logo."), "{build}");
}

#[test]
fn a_logo_runs_nothing_and_files_are_cached() {
    let (_db, server) = branded(&[]);
    let mut client = server.client();
    let page = client.get("/login").body;
    let logo = client.get(&address(&page, "/static/brand/logo."));
    let policy = logo.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("sandbox"), "{policy}");
    assert!(!policy.contains("script-src") && !policy.contains("unsafe-"), "{policy}");
    for part in ["base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!((logo.body.as_str(), logo.header("x-content-type-options")), (SVG, Some("nosniff")));
    let style = address(&page, "/static/brand/accent.");
    let answer = client.get(&style);
    assert_eq!(answer.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert!(answer.body.contains("--accent:#") && answer.body.contains("prefers-color-scheme:dark"), "{answer:?}");
    let old = client.get("/static/brand/accent.0123456789.css");
    assert_eq!((old.status, old.header("cache-control")), (200, Some("no-cache")));
    assert_eq!(old.body, answer.body);
    assert_eq!(client.get("/static/brand/other.0123456789.css").status, 404);
    assert_eq!(client.send("POST", &style, &[], b"").status, 405);
}

#[test]
fn icons_take_the_accent_where_the_logo_is_no_svg() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x08\0\0\0\x08\x08\x06\0\0\0"[..], &[0; 4]].concat();
    let logo = file(&db, "logo.bin", &png);
    let settings = [("SESSILE_LOGO", logo.to_str().expect("a path")), ("SESSILE_ACCENT", "#ffe135")];
    let server = App::start(&db, &settings);
    let mut client = server.client();
    let page = client.get("/login").body;
    assert!(page.contains("/static/brand/logo.") && page.contains("/static/brand/apple-touch-icon."), "{page}");
    let manifest = client.get("/manifest.webmanifest").json();
    let sizes: Vec<_> = manifest["icons"].as_array().expect("icons").iter().map(|icon| icon["sizes"].clone()).collect();
    assert_eq!(sizes, ["192x192", "512x512", "512x512"]);
    assert_eq!(manifest["name"], "Sessile");
}

#[test]
fn without_settings_everything_is_our_own() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let page = client.get("/login").body;
    assert!(page.contains("Sign in to Sessile") && page.contains("<svg class=\"mark\""), "{page}");
    assert!(!page.contains("/static/brand/") && !page.contains("class=\"foot\""), "{page}");
    assert_eq!(client.get("/manifest.webmanifest").json()["screenshots"].as_array().expect("pictures").len(), 2);
    assert_eq!(client.get("/.well-known/security.txt").status, 404);
}

#[test]
fn security_txt_names_the_contact() {
    let (_db, server) = branded(&[]);
    let answer = server.client().get("/.well-known/security.txt");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(answer.body.starts_with("Contact: tel:01715550199\nExpires: 20"), "{answer:?}");
    let (_db, server) = serve(&[("SESSILE_CONTACT", "Ask at the till")]);
    let text = server.client().get("/.well-known/security.txt").body;
    assert!(text.starts_with("Contact: http://localhost:") && text.contains("/login\nExpires: "), "{text}");
    let moved = server.client().get("/.well-known/change-password");
    assert_eq!((moved.status, moved.header("location")), (303, Some("/account")));
}

#[test]
fn a_bad_logo_stops_the_start_with_one_line() {
    let db = TestDb::new(Engine::Sqlite);
    let cases: [(&[u8], &str); 3] = [
        (b"GIF89a", "neither an SVG nor a PNG"),
        (&[b' '; 300 * 1024], "larger than 256 KiB"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
    ];
    let start = |path: &str, words: &str| {
        let out = command(&db, &[("SESSILE_LOGO", path), ("SESSILE_LISTEN", "127.0.0.1:0")]).arg("serve").output();
        let out = out.expect("the program");
        let line = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{line}");
        assert!(line.contains("SESSILE_LOGO: ") && line.contains(words), "{line}");
    };
    for (content, words) in cases {
        start(file(&db, "logo", content).to_str().expect("a path"), words);
    }
    start("/nowhere/logo.svg", "name a file that Sessile may read");
    assert!(!std::path::Path::new(&db.key_file()).exists(), "nothing was created");
}

#[test]
fn an_error_page_and_a_page_without_a_request_carry_the_name() {
    let (_db, server) = branded(&[]);
    let mut client: Client = server.client();
    let headers = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let bounce = client.send("GET", "/dashboard", &headers, b"").body;
    assert!(bounce.contains("One moment · Möwe &#38; Sons") && bounce.contains("/static/brand/accent."), "{bounce}");
    let evil = [("Origin", "https://elsewhere.example"), ("Content-Type", "application/x-www-form-urlencoded")];
    let refused = client.send("POST", "/login", &evil, b"email=a").body;
    assert!(refused.contains("Möwe &#38; Sons does only what") && !refused.contains("Sessile"), "{refused}");
}

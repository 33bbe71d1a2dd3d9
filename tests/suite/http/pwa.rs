//! The app's documents: the manifest, the service worker and the offline page.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sessile::base::assets;

use super::{KIM, serve};
use crate::support::{Answer, Client};

const DOCUMENTS: [(&str, &str); 3] = [
    ("/manifest.webmanifest", "application/manifest+json"),
    ("/sw.js", "text/javascript; charset=utf-8"),
    ("/offline", "text/html; charset=utf-8"),
];

#[test]
fn the_apps_documents_are_revalidated_each_time() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    for (path, content_type) in DOCUMENTS {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "{path}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
        let tag = answer.header("etag").expect("a tag").to_owned();
        let again = client.send("GET", path, &[("If-None-Match", &tag)], b"");
        assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", Some(tag.as_str())), "{path}");
        assert_eq!(client.send("GET", path, &[("If-None-Match", "\"other\"")], b"").status, 200);
        assert_eq!(client.send("HEAD", path, &[], b"").status, 200, "{path}");
        assert_eq!(client.send("POST", path, &[], b"").status, 405, "{path}");
    }
}

#[test]
fn the_apps_documents_need_no_session_or_database() {
    let (db, server) = serve(&[]);
    let mut kim = server.client();
    kim.log_in(KIM);
    let before = DOCUMENTS.map(|(path, _)| server.client().get(path).body);
    db.sql("ALTER TABLE sessions RENAME TO sessions_away");
    for ((path, _), nobodys) in DOCUMENTS.iter().zip(&before) {
        let answer = kim.get(path);
        assert_eq!((answer.status, &answer.body), (200, nobodys), "{path}");
        assert!(!answer.body.contains("csrf") && !answer.body.contains(KIM), "{path}");
    }
}

#[test]
fn the_offline_page_does_not_bounce() {
    let (_db, server) = serve(&[]);
    let elsewhere = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let answer = server.client().send("GET", "/offline", &elsewhere, b"");
    assert!(answer.body.contains("You are offline") && answer.header("set-cookie").is_none(), "{answer:?}");
}

#[test]
fn every_address_of_the_manifest_is_served() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let manifest = client.get("/manifest.webmanifest").json();
    for (member, value) in
        [("id", "/"), ("scope", "/"), ("start_url", "/dashboard"), ("display", "standalone"), ("name", "Sessile")]
    {
        assert_eq!(manifest[member], json!(value), "{member}");
    }
    let pictures: Vec<Value> = ["icons", "screenshots"].iter().flat_map(|list| each(&manifest[*list])).collect();
    for picture in pictures.iter().chain(&each(&manifest["shortcuts"][0]["icons"])) {
        let path = picture["src"].as_str().expect("an address");
        let asset = assets::find(path).unwrap_or_else(|| panic!("{path} is not embedded"));
        assert_eq!(picture["type"], json!("image/png"));
        assert_eq!(picture["sizes"], json!(size_of_png(asset.plain)), "{path}");
        assert_eq!(client.send("HEAD", path, &[], b"").header("content-type"), Some("image/png"), "{path}");
    }
    let icon = |size: &str, purpose: &str| {
        each(&manifest["icons"]).iter().any(|icon| icon["sizes"] == size && icon["purpose"] == purpose)
    };
    assert!(icon("192x192", "any") && icon("512x512", "any") && icon("512x512", "maskable"));
    let shortcuts: Vec<Value> = each(&manifest["shortcuts"]).iter().map(|shortcut| shortcut["url"].clone()).collect();
    assert_eq!(shortcuts, [json!("/devices"), json!("/drafts")]);
}

#[test]
fn every_page_names_the_manifest_and_an_icon_for_apple() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    for path in ["/login", "/dashboard"] {
        let page = client.get(path);
        // With cookies, for proxies that require their own cookie.
        let manifest = "<link rel=\"manifest\" href=\"/manifest.webmanifest\" crossorigin=\"use-credentials\">";
        assert!(page.body.contains(manifest), "{page:?}");
        let (_, after) = page.body.split_once("rel=\"apple-touch-icon\" href=\"").expect("an icon");
        let icon = assets::find(after.split('"').next().expect("an address")).expect("an embedded icon");
        assert_eq!(size_of_png(icon.plain), "180x180");
        client.log_in(KIM);
    }
}

#[test]
fn the_workers_files_are_served_with_fingerprints() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let build = build_of(&client.get("/sw.js"));
    assert_eq!(build["id"].as_str().expect("an id").len(), 10);
    let files = build["files"].as_object().expect("files");
    let listed: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    let mut embedded: BTreeSet<&str> =
        assets::all().iter().filter(|asset| is_kept(asset.name)).map(|a| a.path).collect();
    embedded.insert("/offline");
    assert_eq!(listed, embedded);
    for (path, print) in files {
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("etag").map(|tag| tag.trim_matches('"')), print.as_str(), "{path}");
    }
    for path in ["/login", "/dashboard", "/devices", "/activity", "/account", "/offline"] {
        let named = scripts_and_styles(&mut client, path);
        assert!(named.iter().all(|name| listed.contains(name.as_str())), "{path}: {named:?}");
    }
}

/// Browsers fetch a module worker and its imports without cookies.
#[test]
fn the_worker_is_one_classic_script() {
    let (_db, server) = serve(&[]);
    let worker = server.client().get("/sw.js").body;
    let is_module = |line: &str| line.starts_with("import ") || line.starts_with("export ") || line.contains("import(");
    assert_eq!(worker.lines().find(|line| is_module(line)), None);
    for once in ["const pendingSignOuts = ", "function flush() {", "addEventListener(\"fetch\""] {
        assert_eq!(worker.lines().filter(|line| line.starts_with(once)).count(), 1, "{once}");
    }
}

#[test]
fn readiness_looks_at_the_app() {
    let (_db, server) = serve(&[]);
    let pwa = server.client().get("/readyz").json()["components"]["pwa"].clone();
    let listed = build_of(&server.client().get("/sw.js"))["files"].as_object().expect("files").len();
    assert_eq!((&pwa["status"], &pwa["files"]), (&json!("ok"), &json!(listed)));
}

fn build_of(worker: &Answer) -> Value {
    let line = worker.body.lines().next().expect("a line");
    let build = line.strip_prefix("const BUILD = ").and_then(|line| line.strip_suffix(';')).expect("the build");
    serde_json::from_str(build).expect("JSON")
}

/// Whether the worker caches the file: it is not a document in the root, and not only needed for the installation.
fn is_kept(name: &str) -> bool {
    !matches!(name, "sw.js" | "manifest.webmanifest") && !name.starts_with("install/")
}

fn each(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}

/// Reads width and height from the first chunk (PNG, 11.2.1).
fn size_of_png(content: &[u8]) -> String {
    let number = |at: usize| u32::from_be_bytes(content[at..at + 4].try_into().expect("four bytes"));
    format!("{}x{}", number(16), number(20))
}

fn scripts_and_styles(client: &mut Client, path: &str) -> Vec<String> {
    let page = client.get(path);
    let names = page.body.split('"').filter(|part| part.starts_with("/static/") && !part.ends_with(".png"));
    names.map(str::to_owned).collect()
}

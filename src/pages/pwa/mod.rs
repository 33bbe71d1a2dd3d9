//! What makes the pages an app: the manifest, the worker and the page without a network, at the root where browsers look
//! for them. Called by the routes, and by readiness, which checks the same documents that are served.
//!
//! `static/sw.js` is embedded as any static file. It is served joined with its modules (`bundle`), and with one line in
//! front: `const BUILD = …`, with the build's id and every file that the worker keeps, each with its fingerprint. The id is
//! a fingerprint of that list and of the worker's own text, so that another build always has another id, and the same build
//! never has.
//!
//! Invariant: nothing here depends on who asks.

mod bundle;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, CacheControl, CacheDirective, ETag, EntityTag},
};
use askama::Template;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    base::{
        assets,
        error::{Error, Result},
    },
    web::layout::Page,
};

/// Where the page without a network is.
const SHELL: &str = "/offline";
const WORKER: &str = "sw.js";
const MANIFEST: &str = "manifest.webmanifest";
/// What only an installation asks for: the system fetches it, and no page.
const INSTALLATION: &str = "install/";

/// A document at the root.
#[derive(Debug)]
struct Document {
    content_type: &'static str,
    body: String,
    tag: String,
}

/// All of them, as this build serves them.
#[derive(Debug)]
struct Documents {
    manifest: Document,
    worker: Document,
    shell: Document,
}

static DOCUMENTS: LazyLock<Result<Documents, String>> = LazyLock::new(Documents::make);

#[derive(Template)]
#[template(path = "pwa/offline.html")]
struct OfflinePage {
    page: Page,
}

/// `GET /manifest.webmanifest` (W3C, Web Application Manifest)
///
/// # Errors
/// When this build lacks it, which is a bug.
pub async fn manifest(req: HttpRequest) -> Result<HttpResponse> {
    Ok(documents()?.manifest.answer(&req))
}

/// `GET /sw.js` (W3C, Service Workers)
///
/// # Errors
/// When this build lacks it, which is a bug.
pub async fn worker(req: HttpRequest) -> Result<HttpResponse> {
    Ok(documents()?.worker.answer(&req))
}

/// `GET /offline`: what the worker shows when there is no answer from here.
pub async fn shell(req: HttpRequest) -> Result<HttpResponse> {
    Ok(documents()?.shell.answer(&req))
}

fn documents() -> Result<&'static Documents> {
    DOCUMENTS.as_ref().map_err(Error::bug)
}

impl Documents {
    fn make() -> Result<Self, String> {
        let shell = OfflinePage { page: Page::bare("Offline") }.render().map_err(|error| error.to_string())?;
        let shell = Document::new("text/html; charset=utf-8", shell);
        let worker = Document::new("text/javascript; charset=utf-8", worker_text(&shell.tag)?);
        let manifest = Document::new("application/manifest+json", embedded(MANIFEST)?.to_owned());
        Ok(Self { manifest, worker, shell })
    }
}

/// The worker with the line that makes it this build's.
fn worker_text(shell_print: &str) -> Result<String, String> {
    let text = bundle::bundle(embedded(WORKER)?, |path| std::str::from_utf8(assets::find(path)?.plain).ok())?;
    let mut files: BTreeMap<&str, &str> = kept().map(|asset| (asset.path, asset.fingerprint)).collect();
    files.insert(SHELL, shell_print);
    let id = fingerprint(&format!("{}{text}", json!(files)));
    Ok(format!("const BUILD = {};\n{text}", json!({"id": id, "files": files})))
}

/// The static files that the worker keeps.
fn kept() -> impl Iterator<Item = &'static assets::Asset> {
    let at_the_root = [WORKER, MANIFEST];
    assets::all()
        .iter()
        .filter(move |asset| !at_the_root.contains(&asset.name) && !asset.name.starts_with(INSTALLATION))
}

fn embedded(name: &str) -> Result<&'static str, String> {
    let asset = assets::named(name).ok_or_else(|| format!("static/{name} is not there"))?;
    std::str::from_utf8(asset.plain).map_err(|error| format!("static/{name}: {error}"))
}

/// As those of the static files: ten hexadecimal digits of the SHA-256.
fn fingerprint(text: &str) -> String {
    Sha256::digest(text).iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

impl Document {
    fn new(content_type: &'static str, body: String) -> Self {
        Self { content_type, tag: fingerprint(&body), body }
    }

    /// To be asked for again each time, and sent only if it has changed.
    fn answer(&'static self, req: &HttpRequest) -> HttpResponse {
        let tag = EntityTag::new_strong(self.tag.clone());
        let known = assets::is_known(req, &tag);
        let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        answer.insert_header(CacheControl(vec![CacheDirective::NoCache])).insert_header(ETag(tag));
        if known {
            return answer.finish();
        }
        answer.insert_header((header::CONTENT_TYPE, self.content_type)).body(self.body.as_str())
    }
}

/// How many files the app consists of, if all that its documents name is really served and the worker lists exactly what
/// is embedded for it.
///
/// # Errors
/// One line that says what is wrong.
pub fn check() -> Result<usize, String> {
    let documents = DOCUMENTS.as_ref().map_err(Clone::clone)?;
    let manifest = parsed(&documents.manifest.body)?;
    let shown: Vec<&str> = [("icons", 3), ("screenshots", 2)]
        .into_iter()
        .map(|(list, least)| pictures(&manifest, list, least))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let line = documents.worker.body.lines().next().unwrap_or_default();
    let build = parsed(line.strip_prefix("const BUILD = ").unwrap_or_default().trim_end_matches(';'))?;
    let listed = build.get("files").and_then(Value::as_object).ok_or("the worker lists no files")?;
    if listed.len() != kept().count() + 1 {
        return Err(format!("the worker lists {} files", listed.len()));
    }
    for (path, print) in listed {
        let served = if path == SHELL { Some(documents.shell.tag.as_str()) } else { served(path) };
        if served.is_none() || served != print.as_str() {
            return Err(format!("the worker lists {path}, which is not served so"));
        }
    }
    let named = documents.shell.body.split('"').filter(|part| part.starts_with("/static/")).chain(shown);
    match named.into_iter().find(|path| served(path).is_none()) {
        Some(path) => Err(format!("{path} is named and not served")),
        None => Ok(listed.len()),
    }
}

/// The fingerprint of the file that is served at an address.
fn served(path: &str) -> Option<&'static str> {
    assets::find(path).filter(|asset| !asset.plain.is_empty()).map(|asset| asset.fingerprint)
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// The addresses of a list of the manifest.
fn pictures<'a>(manifest: &'a Value, list: &str, least: usize) -> Result<Vec<&'a str>, String> {
    let found = manifest.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let found: Vec<&str> = found.iter().filter_map(|one| one.get("src")?.as_str()).collect();
    if found.len() < least { Err(format!("the manifest lacks {list}")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_passes_its_own_check() {
        assert_eq!(check(), Ok(kept().count() + 1));
    }

    #[test]
    fn another_shell_makes_another_build() {
        let [one, same, other] = ["a", "a", "b"].map(|shell| worker_text(shell).unwrap());
        assert_eq!(one, same);
        let id = |text: &str| parsed(text.lines().next().unwrap()[14..].trim_end_matches(';')).unwrap()["id"].clone();
        assert_ne!(id(&one), id(&other));
    }

    #[test]
    fn what_only_an_installation_needs_is_not_kept() {
        let names: Vec<_> = kept().map(|asset| asset.name).collect();
        assert!(names.contains(&"css/base.css") && names.contains(&"js/offline.js"), "{names:?}");
        assert!(!names.iter().any(|name| name.ends_with(".png") || *name == "sw.js"), "{names:?}");
    }
}

//! The installable app: the manifest, the service worker and the offline page, served at the root where browsers look
//! for them. Called by the routes, and by readiness, which checks the same documents that are served.
//!
//! `static/sw.js` is embedded like any static file. It is served joined with its modules (`bundle`), after the line
//! `const BUILD = …`. That line holds the build's id and the fingerprint of every file that the worker caches. The id
//! is a fingerprint of those fingerprints and of the worker's own text, so two builds have the same id only if all of
//! these are equal.
//!
//! The documents are made, compressed and hashed once, at the start. They show the operator's name, logo and colour, so
//! a change of these is a new build for the worker.
//!
//! Invariant: these documents are the same for every client.

mod bundle;
mod manifest;

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::ContentEncoding,
    web::{Bytes, Data},
};
use askama::Template;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    base::{
        assets::{self, REVALIDATED, representations::Representations},
        brand::Brand,
        error::Result,
    },
    web::layout::Page,
};

/// The address of the offline page.
const SHELL: &str = "/offline";
const WORKER: &str = "sw.js";
const MANIFEST: &str = "manifest.webmanifest";
/// The folder of files that only an installation needs. The operating system fetches them; pages do not.
const INSTALLATION: &str = "install/";

/// A document served at the root.
#[derive(Debug)]
struct Document {
    body: String,
    fingerprint: String,
    representations: Representations,
}

/// All documents of this build.
#[derive(Debug)]
pub struct Documents {
    brand: Brand,
    manifest: Document,
    worker: Document,
    shell: Document,
}

#[derive(Template)]
#[template(path = "pwa/offline.html")]
struct OfflinePage {
    page: Page,
}

/// `GET /manifest.webmanifest` (W3C, Web Application Manifest)
pub async fn manifest(req: HttpRequest, documents: Data<Documents>) -> HttpResponse {
    documents.manifest.representations.answer(&req, REVALIDATED)
}

/// `GET /sw.js` (W3C, Service Workers)
pub async fn worker(req: HttpRequest, documents: Data<Documents>) -> HttpResponse {
    documents.worker.representations.answer(&req, REVALIDATED)
}

/// `GET /offline`: the page that the worker shows when the server cannot be reached.
pub async fn shell(req: HttpRequest, documents: Data<Documents>) -> HttpResponse {
    documents.shell.representations.answer(&req, REVALIDATED)
}

impl Documents {
    /// Makes the documents.
    ///
    /// # Errors
    /// A one-line message if this build lacks a file, which is a bug.
    pub fn make(brand: Brand) -> Result<Self, String> {
        let page = Page::bare(brand.clone(), "Offline");
        let shell = OfflinePage { page }.render().map_err(|error| error.to_string())?;
        let shell = Document::new("text/html; charset=utf-8", shell)?;
        let worker = Document::new("text/javascript; charset=utf-8", worker_text(&shell.fingerprint, &brand)?)?;
        let manifest = manifest::text(embedded(MANIFEST)?, &brand)?;
        let manifest = Document::new("application/manifest+json", manifest)?;
        Ok(Self { brand, manifest, worker, shell })
    }

    /// Checks that every file named in the documents is served, and that the worker lists exactly the files embedded for
    /// it. Returns the number of files.
    ///
    /// # Errors
    /// A one-line message that names the problem.
    pub fn check(&self) -> Result<usize, String> {
        let manifest = parsed(&self.manifest.body)?;
        let [icons, pictures] = manifest::least_pictures(&self.brand);
        let shown: Vec<&str> = [("icons", icons), ("screenshots", pictures)]
            .into_iter()
            .map(|(list, least)| named_pictures(&manifest, list, least))
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        let line = self.worker.body.lines().next().unwrap_or_default();
        let build = parsed(line.strip_prefix("const BUILD = ").unwrap_or_default().trim_end_matches(';'))?;
        let listed = build.get("files").and_then(Value::as_object).ok_or("the worker lists no files")?;
        if listed.len() != cached_assets().count() + self.brand.page_files().count() + 1 {
            return Err(format!("the worker lists {} files", listed.len()));
        }
        for (path, print) in listed {
            let served = if path == SHELL { Some(self.shell.fingerprint.as_str()) } else { self.served(path) };
            if served.is_none() || served != print.as_str() {
                return Err(format!("the worker lists {path}, which is not served with that fingerprint"));
            }
        }
        let named = self.shell.body.split('"').filter(|part| part.starts_with("/static/")).chain(shown);
        match named.into_iter().find(|path| self.served(path).is_none()) {
            Some(path) => Err(format!("{path} is referenced but not served")),
            None => Ok(listed.len()),
        }
    }

    /// The fingerprint of the static file at an address.
    fn served(&self, path: &str) -> Option<&str> {
        let asset = assets::find(path).filter(|asset| !asset.plain.is_empty()).map(|asset| asset.fingerprint);
        asset.or_else(|| self.brand.find(path).map(|file| file.fingerprint.as_str()))
    }
}

/// The worker's script, with the `BUILD` line in front.
fn worker_text(shell_print: &str, brand: &Brand) -> Result<String, String> {
    let text = bundle::bundle(embedded(WORKER)?, |path| std::str::from_utf8(assets::find(path)?.plain).ok())?;
    let mut files: BTreeMap<&str, &str> = cached_assets().map(|asset| (asset.path, asset.fingerprint)).collect();
    files.extend(brand.page_files().map(|file| (file.path.as_str(), file.fingerprint.as_str())));
    files.insert(SHELL, shell_print);
    let id = fingerprint(&format!("{}{text}", json!(files)));
    Ok(format!("const BUILD = {};\n{text}", json!({"id": id, "files": files})))
}

/// The static files that the worker caches.
fn cached_assets() -> impl Iterator<Item = &'static assets::Asset> {
    let at_the_root = [WORKER, MANIFEST];
    assets::all()
        .iter()
        .filter(move |asset| !at_the_root.contains(&asset.name) && !asset.name.starts_with(INSTALLATION))
}

fn embedded(name: &str) -> Result<&'static str, String> {
    let asset = assets::named(name).ok_or_else(|| format!("static/{name} is missing"))?;
    std::str::from_utf8(asset.plain).map_err(|error| format!("static/{name}: {error}"))
}

/// The first ten hexadecimal digits of the SHA-256, like the fingerprints of static files.
fn fingerprint(text: &str) -> String {
    Sha256::digest(text).iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

impl Document {
    fn new(content_type: &'static str, body: String) -> Result<Self, String> {
        let fingerprint = fingerprint(&body);
        let gzip = gzip(body.as_bytes()).map_err(|error| error.to_string())?;
        let contents = [
            (ContentEncoding::Gzip, Bytes::from(gzip)),
            (ContentEncoding::Identity, Bytes::copy_from_slice(body.as_bytes())),
        ];
        let representations =
            Representations::new(content_type, &fingerprint, contents).map_err(|error| error.to_string())?;
        Ok(Self { body, fingerprint, representations })
    }
}

fn gzip(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text)?;
    encoder.finish()
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// The addresses of the pictures in one of the manifest's lists, which must have at least `least`.
fn named_pictures<'a>(manifest: &'a Value, list: &str, least: usize) -> Result<Vec<&'a str>, String> {
    let found = manifest.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let found: Vec<&str> = found.iter().filter_map(|one| one.get("src")?.as_str()).collect();
    if found.len() < least { Err(format!("the manifest lacks {list}")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::settings::{BrandSettings, Rgb};

    fn brand(name: &str, accent: Option<[u8; 3]>) -> Brand {
        Brand::read(&BrandSettings { name: name.to_owned(), accent: accent.map(Rgb), ..BrandSettings::default() })
            .unwrap()
    }

    fn build_id(documents: &Documents) -> Value {
        let line = documents.worker.body.lines().next().unwrap();
        parsed(line[14..].trim_end_matches(';')).unwrap()["id"].clone()
    }

    #[test]
    fn the_served_documents_pass_the_check() {
        let own = Documents::make(Brand::default()).unwrap();
        assert_eq!(own.check(), Ok(cached_assets().count() + 1));
        let theirs = Documents::make(brand("Shop", Some([0xc2, 0x18, 0x5b]))).unwrap();
        assert_eq!(theirs.check(), Ok(cached_assets().count() + 3));
    }

    #[test]
    fn another_name_or_colour_is_another_build() {
        let brands = [
            brand("Sessile", None),
            brand("Shop", None),
            brand("Shop", Some([0, 0, 200])),
            brand("Shop", Some([200, 0, 0])),
        ];
        let ids = brands.map(|brand| build_id(&Documents::make(brand).unwrap()));
        assert_eq!(ids[0], build_id(&Documents::make(Brand::default()).unwrap()));
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{ids:?}");
        }
    }

    #[test]
    fn files_only_for_installation_are_not_cached() {
        let names: Vec<_> = cached_assets().map(|asset| asset.name).collect();
        assert!(names.contains(&"css/base.css") && names.contains(&"js/offline.js"), "{names:?}");
        assert!(!names.iter().any(|name| name.ends_with(".png") || *name == "sw.js"), "{names:?}");
    }
}

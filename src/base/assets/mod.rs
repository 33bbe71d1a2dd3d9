//! The static files. `build.rs` fingerprints, compresses and embeds them. Called by templates, which need their
//! addresses, and by the route for `/static/`.
//!
//! Invariant: an address with the fingerprint of this build always serves the same content. An address with another
//! fingerprint serves the current file of that name, and is never cached without revalidation.

pub mod encodings;
#[cfg(test)]
mod fingerprint;
#[cfg(test)]
mod references;
pub mod representations;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{ContentEncoding, HeaderValue},
    },
    web::Bytes,
};

use self::representations::Representations;
use crate::base::error::{Error, Result};

/// A static file.
#[derive(Debug)]
pub struct Asset {
    /// Path below `static/`, such as `css/base.css`.
    pub name: &'static str,
    /// Path of the address, such as `/static/css/base.3f2a04c1d9.css`.
    pub path: &'static str,
    /// The media type, with charset if it is text.
    pub content_type: &'static str,
    /// The fingerprint in the path, and the entity tag of the plain content. Tags of compressed content append the
    /// encoding.
    pub fingerprint: &'static str,
    pub plain: &'static [u8],
    /// The content in Brotli (RFC 7932), if that is smaller.
    pub brotli: Option<&'static [u8]>,
    /// The content in gzip (RFC 1952), if that is smaller.
    pub gzip: Option<&'static [u8]>,
}

/// All static files, sorted by name.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The prefix of every address of a static file.
const ROOT: &str = "/static/";

/// One year. Caches keep nothing longer.
pub const KEPT_FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// The caching of documents that must be revalidated before each use.
pub const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");

/// A static file as it is served.
struct Served {
    asset: &'static Asset,
    representations: Representations,
}

/// All static files by the path of their address.
static SERVED: LazyLock<Result<HashMap<&'static str, Served>, String>> = LazyLock::new(|| {
    let served = |asset: &'static Asset| Ok((asset.path, Served { asset, representations: asset.representations()? }));
    ASSETS.iter().map(served).collect::<Result<_>>().map_err(|error| error.to_string())
});

impl Asset {
    /// The content in each encoding.
    ///
    /// # Errors
    /// Never: a fingerprint is always a valid header.
    pub fn representations(&self) -> Result<Representations> {
        let compressed = [(ContentEncoding::Brotli, self.brotli), (ContentEncoding::Gzip, self.gzip)];
        let compressed = compressed.into_iter().filter_map(|(encoding, content)| Some((encoding, content?)));
        let all = compressed.chain([(ContentEncoding::Identity, self.plain)]);
        let all = all.map(|(encoding, content)| (encoding, Bytes::from_static(content)));
        Representations::new(self.content_type, self.fingerprint, all)
    }
}

/// All static files, sorted by name.
pub fn all() -> &'static [Asset] {
    ASSETS
}

/// The file with this name, such as `css/base.css`.
pub fn named(name: &str) -> Option<&'static Asset> {
    ASSETS.binary_search_by_key(&name, |asset| asset.name).ok().and_then(|at| ASSETS.get(at))
}

/// The address of the file with this name. An unknown name gets an address that answers 404; a test checks that no
/// template uses an unknown name.
pub fn path(name: &str) -> &'static str {
    named(name).map_or("/static/missing", |asset| asset.path)
}

/// The file at this address.
pub fn find(request_path: &str) -> Option<&'static Asset> {
    SERVED.as_ref().ok()?.get(request_path).map(|served| served.asset)
}

/// The current file for an address with another fingerprint. During a rolling upgrade, pages of one build load their
/// files from nodes that run another build.
fn find_of_another_build(request_path: &str) -> Option<&'static Asset> {
    let file = request_path.strip_prefix(ROOT)?;
    let of_stem = |stem: &str, fingerprint: &str, extension: &str| {
        is_fingerprint(fingerprint).then(|| named(&format!("{stem}{extension}")))?
    };
    let (rest, last) = file.rsplit_once('.')?;
    let with_extension = rest.rsplit_once('.').and_then(|(stem, print)| of_stem(stem, print, &format!(".{last}")));
    with_extension.or_else(|| of_stem(rest, last, ""))
}

fn is_fingerprint(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Answers GET and HEAD of `/static/{tail:.*}` in the best encoding that the client accepts (RFC 9110, section 12.5.3).
/// A file at its own address may be cached for ever. A file served for another build's fingerprint must be revalidated.
///
/// # Errors
/// [`Error::NotFound`] if no file has this address; [`Error::MethodNotAllowed`] for other methods.
pub async fn serve(req: HttpRequest) -> Result<HttpResponse> {
    if !matches!(*req.method(), Method::GET | Method::HEAD) {
        return Err(Error::MethodNotAllowed("GET, HEAD".into()));
    }
    let served = SERVED.as_ref().map_err(Error::bug)?;
    let (asset, keep) = match served.get(req.path()) {
        Some(served) => (served, Keep::ForEver),
        None => {
            let current = find_of_another_build(req.path()).and_then(|asset| served.get(asset.path));
            (current.ok_or(Error::NotFound)?, Keep::Revalidate)
        }
    };
    let caching = match keep {
        Keep::ForEver => KEPT_FOR_EVER,
        Keep::Revalidate => REVALIDATED,
    };
    Ok(asset.representations.answer(&req, caching))
}

/// How long a cache may keep a response.
#[derive(Debug, Clone, Copy)]
enum Keep {
    /// The content of this address never changes.
    ForEver,
    /// The cache must revalidate the response before each use.
    Revalidate,
}

//! The static files. `build.rs` fingerprints, compresses and embeds them. Called by templates, which need their
//! addresses, and by the route for `/static/`.
//!
//! Invariant: an address with the fingerprint of this build always serves the same content. An address with another
//! fingerprint serves the current file of that name, and is never cached without revalidation.

#[cfg(test)]
mod fingerprint;
#[cfg(test)]
mod references;
#[cfg(test)]
mod tests;

use actix_web::http::Method;
use actix_web::http::header::{
    self, AcceptEncoding, CacheControl, CacheDirective, ContentEncoding, ETag, Encoding, EntityTag, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

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
const MAX_AGE_SECONDS: u32 = 31_536_000;

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
    ASSETS.iter().find(|asset| asset.path == request_path)
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
    let (asset, keep) = match find(req.path()) {
        Some(asset) => (asset, Keep::ForEver),
        None => (find_of_another_build(req.path()).ok_or(Error::NotFound)?, Keep::Revalidate),
    };
    let (encoding, content) = asset.best_for(&req);
    let tag = match encoding {
        ContentEncoding::Identity => asset.fingerprint.to_owned(),
        encoding => format!("{}-{}", asset.fingerprint, encoding.as_str()),
    };
    let tag = EntityTag::new_strong(tag);
    if is_known(&req, &tag) {
        return Ok(with_cache_headers(HttpResponse::NotModified(), tag, keep).finish());
    }
    let mut response = with_cache_headers(HttpResponse::Ok(), tag, keep);
    if encoding != ContentEncoding::Identity {
        response.insert_header(encoding);
    }
    Ok(response.content_type(asset.content_type).body(content))
}

impl Asset {
    fn best_for(&self, req: &HttpRequest) -> (ContentEncoding, &'static [u8]) {
        let known = [
            (ContentEncoding::Brotli, self.brotli),
            (ContentEncoding::Gzip, self.gzip),
            (ContentEncoding::Identity, Some(self.plain)),
        ];
        let supported = known.map(|(encoding, content)| content.map(|_| Encoding::Known(encoding)));
        let chosen = header::Header::parse(req)
            .ok()
            .and_then(|accepted: AcceptEncoding| accepted.negotiate(supported.iter().flatten()));
        known
            .into_iter()
            .find_map(|(encoding, content)| {
                Some((encoding, content?)).filter(|_| chosen == Some(Encoding::Known(encoding)))
            })
            // A client that accepts none of these gets the plain content, which helps more than a 406.
            .unwrap_or((ContentEncoding::Identity, self.plain))
    }
}

/// Whether the client already has this representation (RFC 9110, section 13.1.2).
pub fn is_known(req: &HttpRequest, tag: &EntityTag) -> bool {
    match header::Header::parse(req) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// How long a cache may keep a response.
#[derive(Debug, Clone, Copy)]
enum Keep {
    /// The content of this address never changes.
    ForEver,
    /// The cache must revalidate the response before each use.
    Revalidate,
}

/// Adds the headers that 200 and 304 share.
fn with_cache_headers(mut response: HttpResponseBuilder, tag: EntityTag, keep: Keep) -> HttpResponseBuilder {
    let immutable = CacheDirective::Extension("immutable".to_owned(), None);
    let keep = match keep {
        Keep::ForEver => vec![CacheDirective::Public, CacheDirective::MaxAge(MAX_AGE_SECONDS), immutable],
        Keep::Revalidate => vec![CacheDirective::NoCache],
    };
    response
        .insert_header(CacheControl(keep))
        .insert_header(ETag(tag))
        .insert_header((header::VARY, "Accept-Encoding"));
    response
}

//! The static files: fingerprinted, compressed and embedded when the program is built (`build.rs`). Called by the
//! templates for addresses and by the routes for `/static/`. An address names one content for ever; under another build's
//! fingerprint the current file of the name is served.

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
    /// Its path below `static/`, such as `css/base.css`.
    pub name: &'static str,
    /// Where it is served, such as `/static/css/base.3f2a04c1d9.css`.
    pub path: &'static str,
    /// The media type, with charset if it is text.
    pub content_type: &'static str,
    /// The fingerprint in its path. It is the entity tag of the plain content; the compressed ones add to it.
    pub fingerprint: &'static str,
    /// The content.
    pub plain: &'static [u8],
    /// The same in brotli (RFC 7932), if that is smaller.
    pub brotli: Option<&'static [u8]>,
    /// The same in gzip (RFC 1952), if that is smaller.
    pub gzip: Option<&'static [u8]>,
}

/// All of them, by name.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where they are served.
const ROOT: &str = "/static/";

/// A year, which is as long as anybody keeps anything.
const MAX_AGE_SECONDS: u32 = 31_536_000;

/// All static files, by name.
pub fn all() -> &'static [Asset] {
    ASSETS
}

/// The file of a name, such as `css/base.css`.
pub fn named(name: &str) -> Option<&'static Asset> {
    ASSETS.binary_search_by_key(&name, |asset| asset.name).ok().and_then(|at| ASSETS.get(at))
}

/// Where the file of a name is served. For a name that does not exist this is an address that answers 404; the tests
/// hold that no template uses one.
pub fn path(name: &str) -> &'static str {
    named(name).map_or("/static/missing", |asset| asset.path)
}

/// The file that is served at an address.
pub fn find(request_path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == request_path)
}

/// The current file of a name that is asked for under another build's fingerprint, as pages of that build do while nodes
/// are brought up to date one by one.
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

/// Answers GET and HEAD of `/static/{tail:.*}` in the best encoding that both sides know (RFC 9110, section 12.5.3). What
/// is at its own address may be kept for ever; the current file in place of another build's must be asked for again.
///
/// # Errors
/// [`Error::NotFound`] for an address of no file; [`Error::MethodNotAllowed`].
pub async fn serve(req: HttpRequest) -> Result<HttpResponse> {
    if !matches!(*req.method(), Method::GET | Method::HEAD) {
        return Err(Error::MethodNotAllowed("GET, HEAD".into()));
    }
    let (asset, keep) = match find(req.path()) {
        Some(asset) => (asset, Keep::ForEver),
        None => (find_of_another_build(req.path()).ok_or(Error::NotFound)?, Keep::AndAsk),
    };
    let (encoding, content) = asset.best_for(&req);
    let tag = match encoding {
        ContentEncoding::Identity => asset.fingerprint.to_owned(),
        encoding => format!("{}-{}", asset.fingerprint, encoding.as_str()),
    };
    let tag = EntityTag::new_strong(tag);
    if is_known(&req, &tag) {
        return Ok(lasting(HttpResponse::NotModified(), tag, keep).finish());
    }
    let mut response = lasting(HttpResponse::Ok(), tag, keep);
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
            // Who accepts nothing that is there gets it as it is: better than to be told so.
            .unwrap_or((ContentEncoding::Identity, self.plain))
    }
}

/// Whether the client says that it has this very representation (RFC 9110, section 13.1.2).
pub fn is_known(req: &HttpRequest, tag: &EntityTag) -> bool {
    match header::Header::parse(req) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|one| one.weak_eq(tag)),
        Err(_) => false,
    }
}

/// How long an answer may be kept.
#[derive(Debug, Clone, Copy)]
enum Keep {
    /// The address names this content and no other.
    ForEver,
    /// Only with a question whether it is still the same.
    AndAsk,
}

/// The headers that 200 and 304 share.
fn lasting(mut response: HttpResponseBuilder, tag: EntityTag, keep: Keep) -> HttpResponseBuilder {
    let immutable = CacheDirective::Extension("immutable".to_owned(), None);
    let keep = match keep {
        Keep::ForEver => vec![CacheDirective::Public, CacheDirective::MaxAge(MAX_AGE_SECONDS), immutable],
        Keep::AndAsk => vec![CacheDirective::NoCache],
    };
    response
        .insert_header(CacheControl(keep))
        .insert_header(ETag(tag))
        .insert_header((header::VARY, "Accept-Encoding"));
    response
}

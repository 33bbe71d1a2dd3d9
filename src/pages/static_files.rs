//! `/static/`: the files of this build, and those made from the operator's settings. Called by the routes.
//!
//! Invariant: an SVG from the operator runs nothing, even if a person opens its address.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web,
};

use crate::{
    base::{assets, error::Result},
    web::{headers, site::Site},
};

/// GET and HEAD of `/static/{tail:.*}`
///
/// # Errors
/// Like [`assets::serve`].
pub async fn serve(req: HttpRequest, site: web::Data<Site>) -> Result<HttpResponse> {
    let brand = &site.brand;
    let current = brand.find(req.path()).map(|file| (file, assets::KEPT_FOR_EVER));
    let found = current.or_else(|| Some((brand.find_outdated(req.path())?, assets::REVALIDATED)));
    match found {
        Some((file, caching)) if matches!(*req.method(), Method::GET | Method::HEAD) => {
            let mut answer = file.representations.answer(&req, caching);
            if file.is_svg() {
                answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, headers::INERT);
            }
            Ok(answer)
        }
        _ => assets::serve(req).await,
    }
}

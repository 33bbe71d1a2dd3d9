//! Completes a rotation whose answer was lost: a browser that presents the key from before the rotation gets the new
//! key with this answer. A layer just above the handlers.
//!
//! Invariant: the new key is always sent with its device secret, so that the browser stays the same device.

use actix_session::SessionExt as _;
use actix_web::{
    dev::{Service, ServiceRequest, ServiceResponse},
    web,
};
use futures_util::future::{Either, LocalBoxFuture};

use crate::{
    base::{error::Error, secret::Secret},
    records::session::{
        current,
        request::{self, HandedOver, Loaded},
    },
    web::site::Site,
};

/// Sends the new key, and the device secret that belongs to it, to a browser that presents the key from before a
/// rotation.
pub fn hand_over<Next, Body>(
    req: ServiceRequest,
    next: &Next,
) -> Either<Next::Future, LocalBoxFuture<'static, Result<ServiceResponse<Body>, actix_web::Error>>>
where
    Next: Service<ServiceRequest, Response = ServiceResponse<Body>, Error = actix_web::Error>,
    Next::Future: 'static,
{
    let live = request::current().and_then(|facts| facts.live());
    let Some(live) = live.filter(|live| live.handed_over.is_some()) else {
        return Either::Left(next.call(req));
    };
    let renewed = current::renew_cookie(&req.get_session());
    let site = req.app_data::<web::Data<Site>>().cloned();
    let answering = next.call(req);
    Either::Right(Box::pin(async move {
        renewed?;
        add_device_secret(answering.await?, &live, site)
    }))
}

/// Sends the device secret that belongs to the new key, unless the answer sets another one.
fn add_device_secret<Body>(
    mut answer: ServiceResponse<Body>,
    live: &Loaded,
    site: Option<web::Data<Site>>,
) -> Result<ServiceResponse<Body>, actix_web::Error> {
    let Some(HandedOver { device_secret, device_hashes }) = &live.handed_over else {
        return Ok(answer);
    };
    if let (Some(site), Some(secret)) = (site, device_secret)
        && !site.cookies.sets_device(answer.headers())
    {
        let replaced = |other: &Secret| device_hashes.iter().any(|hash| other.matches(hash));
        let others = site.cookies.device_secrets(answer.request().headers()).into_iter();
        let secrets: Vec<Secret> =
            std::iter::once(secret.clone()).chain(others.filter(|other| !replaced(other))).collect();
        answer.response_mut().add_cookie(&site.cookies.device_cookie(&secrets)).map_err(Error::bug)?;
    }
    Ok(answer)
}

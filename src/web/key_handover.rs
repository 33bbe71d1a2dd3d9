//! Completes a rotation whose answer was lost: a browser that presents the key from before the rotation gets the new
//! key with this answer. A layer just above the handlers.
//!
//! Invariant: the new key is always sent with its device secret, so that the browser stays the same device.

use actix_session::SessionExt as _;
use actix_web::{
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};

use crate::{
    base::{error::Error, secret::Secret},
    records::session::{
        current,
        request::{self, HandedOver},
    },
    web::site::Site,
};

/// Sends the new key, and the device secret that belongs to it, to a browser that presents the key from before a
/// rotation.
pub async fn hand_over<Body: MessageBody>(
    req: ServiceRequest,
    next: Next<Body>,
) -> Result<ServiceResponse<Body>, actix_web::Error> {
    let live = request::current().and_then(|facts| facts.live());
    let Some(HandedOver { device_secret, device_hashes }) = live.as_ref().and_then(|live| live.handed_over.as_ref())
    else {
        return next.call(req).await;
    };
    current::renew_cookie(&req.get_session())?;
    let site = req.app_data::<web::Data<Site>>().cloned();
    let mut answer = next.call(req).await?;
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

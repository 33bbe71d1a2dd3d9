//! The server of an app, which proves itself by the app's secret (RFC 6750).
//!
//! Invariant: a wrong secret and an unknown app get the same answer.

use std::sync::Arc;

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use futures_util::future::LocalBoxFuture;

use crate::{
    base::{
        error::{Error, Result},
        secret::Secret,
    },
    records::app::{App, Apps},
};

/// The app whose server makes the request. A disabled app's server still hears of ends.
pub struct AppServer(pub Arc<App>);

impl AppServer {
    async fn of(req: HttpRequest) -> Result<Self> {
        let missing = || Error::bug("a part of the application is missing");
        let apps = req.app_data::<web::Data<Apps>>().cloned().ok_or_else(missing)?;
        let secret = bearer(&req).ok_or(Error::InvalidCredentials)?;
        let registry = apps.all().await?;
        let app = req.match_info().get("id").and_then(|id| registry.by_id(id));
        app.filter(|app| app.has_secret(&secret)).cloned().map(Self).ok_or(Error::InvalidCredentials)
    }
}

fn bearer(req: &HttpRequest) -> Option<Secret> {
    let sent = req.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = sent.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::presented(secret.trim()))
}

impl FromRequest for AppServer {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(Self::of(req.clone()))
    }
}

//! The app on whose host a request arrived, and what the pages there share.

use std::sync::Arc;

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::Method, web};
use futures_util::future::LocalBoxFuture;

use crate::{
    base::error::{Away, Error, Result},
    records::{
        app::{App, Apps},
        session::Sessions,
    },
    web::{app_cookies::AppCookies, forwarded::Forwarded, proxies::Client, site::Site},
};

/// A request on the host of an enabled app.
pub struct Arrival {
    pub req: HttpRequest,
    pub site: web::Data<Site>,
    pub sessions: web::Data<Sessions>,
    pub app: Arc<App>,
    pub cookies: AppCookies,
}

impl Arrival {
    async fn of(req: HttpRequest) -> Result<Self> {
        let missing = || Error::bug("a part of the application is missing");
        let site = req.app_data::<web::Data<Site>>().cloned().ok_or_else(missing)?;
        let sessions = req.app_data::<web::Data<Sessions>>().cloned().ok_or_else(missing)?;
        let apps = req.app_data::<web::Data<Apps>>().cloned().ok_or_else(missing)?;
        let origin = Forwarded::of(&req, &site).origin.ok_or(Error::NotFound)?;
        if origin == site.public.origin() {
            return Err(Error::NotFound);
        }
        if !site.is_ready() {
            return Err(Error::unavailable(Away::Database, "the database has not answered since the start"));
        }
        let app = apps.at_origin(&origin).await?.filter(|app| app.is_enabled()).ok_or(Error::NotFound)?;
        let cookies = AppCookies::of(&app.origin);
        Ok(Self { req, site, sessions, app, cookies })
    }

    /// Whether the request may change something. A HEAD request runs the same handler as GET.
    pub fn is_get(&self) -> bool {
        self.req.method() == Method::GET
    }

    /// Whether the browser has the app open.
    pub async fn is_open(&self) -> Result<bool> {
        let Some(key) = self.cookies.key(self.req.headers(), &self.site.keys) else { return Ok(false) };
        let granted = self.sessions.find_grant(&key).await?;
        Ok(granted.is_some_and(|granted| granted.app_id == self.app.id))
    }

    pub fn ip(&self) -> Option<String> {
        self.req.extensions().get::<Client>().map(|client| client.ip.to_string())
    }
}

impl FromRequest for Arrival {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(Self::of(req.clone()))
    }
}

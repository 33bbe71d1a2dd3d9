//! `/.sessile/sign-out` on an app's host: goes on to the page on Sessile's own origin that signs out.

use actix_web::{HttpResponse, http::StatusCode};

use super::arrival::Arrival;
use crate::{base::error::Result, web::app_host::AppHostPage};

/// `GET /.sessile/sign-out`
pub async fn show(arrival: Arrival) -> Result<HttpResponse> {
    let to = format!("{}/apps/{}/sign-out", arrival.site.public.origin(), arrival.app.id);
    AppHostPage::going_on(to).answer(StatusCode::OK)
}

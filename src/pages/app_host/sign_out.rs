//! `/.sessile/sign-out` on an app's host: goes on to the page on Sessile's own origin that signs out. With `to`, the person
//! wants to go on to that address with another account.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::arrival::Arrival;
use crate::{
    base::error::Result,
    web::{
        app_host::AppHostPage,
        forwarded::{in_query, target_at},
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    to: Option<String>,
}

/// `GET /.sessile/sign-out`
pub async fn show(query: web::Query<Query>, arrival: Arrival) -> Result<HttpResponse> {
    let Arrival { app, site, .. } = &arrival;
    let mut page = format!("{}/apps/{}/sign-out", site.public.origin(), app.id);
    if let Some(to) = &query.to {
        page += &format!("?to={}", in_query(&target_at(&app.origin, to)));
    }
    AppHostPage::going_on(page).answer(StatusCode::OK, &site.app_face)
}

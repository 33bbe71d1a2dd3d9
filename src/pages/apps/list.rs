//! `/api/apps`: the apps that the person may open.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::{
    base::error::Result,
    records::{app::Apps, session::CurrentUser},
};

/// `GET /api/apps`
pub async fn list(user: CurrentUser, apps: web::Data<Apps>) -> Result<HttpResponse> {
    let registry = apps.all().await?;
    let open: Vec<_> =
        registry.open_to(&user.account).map(|app| json!({"id": app.id, "name": app.name, "url": app.origin})).collect();
    Ok(HttpResponse::Ok().json(json!({"apps": open})))
}

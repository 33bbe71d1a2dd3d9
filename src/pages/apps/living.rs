//! `/api/apps/{id}/living`: which sessions of an app live. Its server asks after it may have missed ends.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::server::AppServer;
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::session::{Sessions, grants::feed},
    web::json::Object,
};

/// The most sessions in one call.
const MOST: usize = 1000;

#[derive(Debug, Deserialize)]
pub struct Asked {
    sids: Vec<String>,
}

/// `POST /api/apps/{id}/living`
///
/// # Errors
/// [`Error::Invalid`] for too many sessions.
pub async fn show(
    server: AppServer,
    sessions: web::Data<Sessions>,
    sent: web::Json<Object<Asked>>,
) -> Result<HttpResponse> {
    let Object(Asked { sids }) = sent.into_inner();
    if sids.len() > MOST {
        return Err(Error::Invalid(format!("ask about at most {MOST} sessions at once")));
    }
    // PostgreSQL refuses U+0000 in a text.
    let asked: Vec<String> = sids.into_iter().filter(|sid| !sid.contains('\0')).collect();
    let (app_id, wanted) = (server.0.id.clone(), asked.clone());
    let living = sessions.db.read(async move |conn: &mut Conn<'_>| feed::living(conn, &app_id, &wanted).await).await?;
    let living: BTreeSet<String> = living.into_iter().collect();
    let living: Vec<&String> = asked.iter().filter(|sid| living.contains(*sid)).collect();
    Ok(HttpResponse::Ok().json(json!({"living": living})))
}

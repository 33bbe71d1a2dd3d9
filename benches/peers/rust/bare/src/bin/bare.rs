//! The upper limit: Actix answers `GET /api/session` with a short JSON document and has no session at all. Settings:
//! PORT.
use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User {
    user_id: &'static str,
    email: &'static str,
}

async fn read() -> HttpResponse {
    HttpResponse::Ok().json(User { user_id: "user-1", email: "user-1@example.com" })
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").unwrap_or("5004".into()).parse().unwrap();
    HttpServer::new(|| App::new().route("/api/session", web::get().to(read)))
        .workers(2)
        .bind(("127.0.0.1", port))?
        .run()
        .await
}

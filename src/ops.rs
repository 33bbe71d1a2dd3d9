//! What operators and their programs ask.

use actix_web::HttpResponse;

/// `GET /healthz`: 200 while the process lives, whatever the database does.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

//! A session stack that Sessile is measured beside: axum, tower-sessions and its SQLx store on PostgreSQL. Settings:
//! PORT, DATABASE_URL, POOL; ROLLING extends the session with each read.
use std::sync::LazyLock;

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use tower_sessions::{Expiry, Session, SessionManagerLayer, cookie::SameSite};
use tower_sessions_sqlx_store::PostgresStore;

#[derive(Clone, Serialize, Deserialize)]
struct User {
    #[serde(rename = "userId")]
    user_id: String,
    #[serde(default)]
    email: String,
}

static ROLLING: LazyLock<bool> = LazyLock::new(|| std::env::var_os("ROLLING").is_some());

async fn establish(session: Session, Json(mut user): Json<User>) -> StatusCode {
    user.email = format!("{}@example.com", user.user_id);
    session.cycle_id().await.unwrap();
    session.insert("user", user).await.unwrap();
    StatusCode::OK
}

async fn read(session: Session) -> Result<Json<User>, StatusCode> {
    let user = session.get("user").await.unwrap().ok_or(StatusCode::UNAUTHORIZED)?;
    if *ROLLING {
        session.save().await.unwrap();
    }
    Ok(Json(user))
}

#[tokio::main]
async fn main() {
    let env = |k: &str, d: &str| std::env::var(k).unwrap_or(d.into());
    let pool = PgPoolOptions::new()
        .max_connections(env("POOL", "10").parse().unwrap())
        .connect(&env("DATABASE_URL", ""))
        .await
        .unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    let layer = SessionManagerLayer::new(store)
        .with_secure(false)
        .with_same_site(SameSite::Strict)
        .with_expiry(Expiry::OnInactivity(time::Duration::hours(72)));
    let app =
        Router::new().route("/api/establish-session", post(establish)).route("/api/session", get(read)).layer(layer);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", env("PORT", "5002").parse().unwrap())).await.unwrap();
    axum::serve(listener, app).await.unwrap();
}

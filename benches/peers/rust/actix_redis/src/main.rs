//! A session stack that Sessile is measured beside: Actix, actix-session and its Redis store. Settings: PORT, REDIS_URL,
//! POLICY (`every`: each read extends the session; `state`: only changes of its state do).
use actix_session::{
    Session, SessionMiddleware,
    config::{PersistentSession, TtlExtensionPolicy},
    storage::RedisSessionStore,
};
use actix_web::{
    App, HttpResponse, HttpServer,
    cookie::{Key, SameSite, time::Duration},
    web,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct User {
    #[serde(rename = "userId")]
    user_id: String,
    #[serde(default)]
    email: String,
}

async fn establish(session: Session, user: web::Json<User>) -> HttpResponse {
    session.renew();
    session.insert("userId", &user.user_id).unwrap();
    session.insert("email", format!("{}@example.com", user.user_id)).unwrap();
    HttpResponse::Ok().finish()
}

async fn read(session: Session) -> HttpResponse {
    match (session.get("userId").unwrap(), session.get("email").unwrap()) {
        (Some(user_id), Some(email)) => HttpResponse::Ok().json(User { user_id, email }),
        _ => HttpResponse::Unauthorized().finish(),
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let env = |k: &str, d: &str| std::env::var(k).unwrap_or(d.into());
    let store = RedisSessionStore::new(env("REDIS_URL", "redis://127.0.0.1:6399")).await.unwrap();
    let every = env("POLICY", "every") == "every";
    HttpServer::new(move || {
        let policy = if every { TtlExtensionPolicy::OnEveryRequest } else { TtlExtensionPolicy::OnStateChanges };
        App::new()
            .wrap(
                SessionMiddleware::builder(store.clone(), Key::from(&[7; 64]))
                    .cookie_secure(false)
                    .cookie_same_site(SameSite::Strict)
                    .session_lifecycle(
                        PersistentSession::default()
                            .session_ttl(Duration::hours(72))
                            .session_ttl_extension_policy(policy),
                    )
                    .build(),
            )
            .route("/api/establish-session", web::post().to(establish))
            .route("/api/session", web::get().to(read))
    })
    .workers(2)
    .bind(("127.0.0.1", env("PORT", "5003").parse().unwrap()))?
    .run()
    .await
}

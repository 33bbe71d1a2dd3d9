//! What is answered from memory, and how much memory that takes.

use super::{KIM, has_lease, metric};
use crate::support::{App, Client, Served, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    requests_of_a_session_are_answered_from_memory,
    a_wrong_secret_is_asked_of_the_database,
    the_cache_can_be_turned_off,
    the_memory_of_the_cache_is_bounded,
    a_touch_is_seen_by_the_next_request,
}

async fn requests_of_a_session_are_answered_from_memory(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = App::start(&db, &[]);
    let mut client = remembered(&app).await;
    let (hits, misses) = used(&app);
    let pages = ["/api/session", "/dashboard", "/devices", "/api/session/data"];
    for page in pages {
        assert_eq!(client.get(page).status, 200);
    }
    assert_eq!(used(&app), (hits + 4.0, misses));
    assert_eq!(metric(&app, "sessile_session_cache_sessions"), 1.0);
    assert!(metric(&app, "sessile_session_cache_bytes") > 100.0);
}

/// The key from before a rotation is not in memory, and neither is an unknown session.
async fn a_wrong_secret_is_asked_of_the_database(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = App::start(&db, &[]);
    let client = remembered(&app).await;
    let (mut before, mut after) = (client.clone(), client);
    after.log_in(KIM);
    assert_eq!(after.get("/api/session").status, 200);
    assert_eq!(before.get("/api/session").status, 401, "the old key was used before the new one");
}

async fn the_cache_can_be_turned_off(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = App::start(&db, &[("SESSILE_SESSION_CACHE", "off")]);
    let mut client = app.client();
    client.log_in(KIM);
    for _ in 0..5 {
        assert_eq!(client.get("/api/session").status, 200);
    }
    assert_eq!(used(&app), (0.0, 0.0));
    assert_eq!(metric(&app, "sessile_session_cache_lease"), 0.0);
    assert_eq!(db.sql("SELECT count(*) FROM nodes"), "0");
}

async fn the_memory_of_the_cache_is_bounded(db: TestDb) {
    add_user(&db, KIM, "owner");
    let more = [("SESSILE_SESSION_CACHE_MAX", "32KiB"), ("SESSILE_SESSIONS_PER_ACCOUNT", "0")];
    let app = App::start(&db, &more);
    has_lease(&app).await;
    let mut clients: Vec<Client> = (0..120).map(|_| app.client()).collect();
    for client in &mut clients {
        client.log_in(KIM);
    }
    for _ in 0..2 {
        for client in &mut clients {
            assert_eq!(client.get("/api/session").status, 200);
        }
    }
    let bytes = metric(&app, "sessile_session_cache_bytes");
    assert!(bytes > 0.0 && bytes <= 32.0 * 1024.0, "{bytes}");
    assert!(metric(&app, "sessile_session_cache_evictions_total") > 0.0);
}

async fn a_touch_is_seen_by_the_next_request(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = App::start(&db, &[("SESSILE_TOUCH_INTERVAL", "1ms")]);
    let mut client = remembered(&app).await;
    let expiry = |client: &mut Client| client.get("/api/session").json()["session"]["expiresAt"].to_string();
    let mut last = expiry(&mut client);
    for _ in 0..20 {
        let next = expiry(&mut client);
        assert!(next >= last, "{next} after {last}");
        last = next;
    }
}

/// A client whose session is in memory.
async fn remembered(app: &Served) -> Client {
    has_lease(app).await;
    let mut client = app.client();
    client.log_in(KIM);
    // The first request records the first use of the key, the second is remembered.
    for _ in 0..2 {
        assert_eq!(client.get("/api/session").status, 200);
    }
    client
}

/// How often sessions were found in memory, and how often they were not.
fn used(app: &Served) -> (f64, f64) {
    (metric(app, "sessile_session_cache_hits_total"), metric(app, "sessile_session_cache_misses_total"))
}

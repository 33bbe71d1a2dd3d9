//! Expiry over HTTP, and the server's own sweep. The cases age rows instead of waiting.

use super::{KIM, assert_ended, count};
use crate::support::{Server, TestDb, add_user, eventually, on_both_engines};

on_both_engines! {
    the_server_sweeps_by_itself,
    a_server_told_not_to_prune_leaves_what_has_expired,
    an_expired_session_gets_the_reason_before_any_sweep,
}

async fn the_server_sweeps_by_itself(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[("SESSILE_PRUNE_INTERVAL", "1s")]);
    let (mut client, mut old, mut alive) = (server.client(), server.client(), server.client());
    client.log_in(KIM);
    old.log_in(KIM);
    assert_eq!(old.send("DELETE", "/api/session", &[], b"").status, 204);
    db.sql("UPDATE sessions SET ended_at = INSTANT(-2592060) WHERE ended_at IS NOT NULL");
    db.sql("UPDATE sessions SET expires_at = INSTANT(-5) WHERE ended_at IS NULL");
    alive.log_in(KIM);
    eventually("the end of expired sessions", async || count(&db, "audit WHERE kind = 'session.expired'") == 1).await;
    eventually("the deletion of old sessions", async || count(&db, "sessions") == 2).await;
    assert_eq!(db.sql("SELECT ended_reason FROM sessions WHERE ended_at IS NOT NULL"), "expired");
    assert_ended(&client.get("/api/session"), "expired");
    assert_eq!(alive.get("/api/session").status, 200);
}

async fn a_server_told_not_to_prune_leaves_what_has_expired(db: TestDb) {
    add_user(&db, KIM, "owner");
    {
        let server = Server::start(&db, &[]);
        server.client().log_in(KIM);
    }
    db.sql("UPDATE sessions SET expires_at = INSTANT(-5)");
    let server = Server::start(&db, &[("SESSILE_PRUNE_INTERVAL", "0s")]);
    eventually("the server serves", async || server.log().contains("serving")).await;
    server.client().log_in(KIM);
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(count(&db, "sessions WHERE ended_at IS NOT NULL"), 0);
    let server = Server::start(&db, &[]);
    eventually("the sweep at a start", async || count(&db, "sessions WHERE ended_at IS NOT NULL") == 1).await;
    drop(server);
}

async fn an_expired_session_gets_the_reason_before_any_sweep(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[("SESSILE_PRUNE_INTERVAL", "0s")]);
    let ways = [
        "last_activity = INSTANT(-259300), expires_at = INSTANT(-100)",
        "expires_at = INSTANT(-1), absolute_expires_at = INSTANT(-1)",
    ];
    for way in ways {
        let mut client = server.client();
        client.log_in(KIM);
        db.sql(&format!("UPDATE sessions SET {way} WHERE ended_at IS NULL"));
        for _ in 0..2 {
            assert_ended(&client.get("/api/session"), "expired");
            assert_ended(&client.json("PATCH", "/api/session/data", &serde_json::json!({"n": 1})), "expired");
            assert_ended(&client.send("DELETE", "/api/session", &[], b""), "expired");
        }
        let page = client.get("/dashboard");
        assert_eq!((page.status, page.sets("aiq_session")), (303, None), "{page:?}");
        db.sql("DELETE FROM sessions");
    }
}

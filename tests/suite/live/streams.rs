//! Open streams of a served program: their events, when they are closed, and that they do not count as activity.

use std::time::Instant;

use super::{AT_ONCE, KIM, SAM, done, log_out, serve, serve_process, signed_in, stream::Stream};
use crate::support::{Server, TestDb, eventually, on_both_engines, sessile};

on_both_engines! {
    an_end_is_announced_to_its_own_and_to_other_pages,
    every_end_is_announced_with_its_reason,
    a_rotation_sends_the_stream_to_the_new_cookie,
    a_stream_is_closed_when_its_session_expires,
    a_stream_stays_open_when_its_session_is_extended,
    a_stream_of_a_session_that_the_sweep_ends_is_closed,
    streams_and_automatic_requests_are_no_activity,
    streams_do_not_hold_up_the_end_of_the_program,
    the_oldest_of_too_many_streams_is_closed,
    a_stream_without_news_sends_heartbeats,
    a_new_device_is_announced_to_the_others,
    the_time_until_an_end_is_known_is_counted,
}

async fn an_end_is_announced_to_its_own_and_to_other_pages(db: TestDb) {
    let server = serve(&db);
    let (mut phone, laptop, sam) = (signed_in(&server, KIM), signed_in(&server, KIM), signed_in(&server, SAM));
    let [of_phone, of_laptop, of_sam] = [&phone, &laptop, &sam].map(|client| Stream::open(server.port, client));
    let before = Instant::now();
    log_out(&mut phone);
    let ended = of_phone.ends("logged-out");
    assert!(ended.at - before < AT_ONCE, "{:?}", ended.at - before);
    assert!(ended.data["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{:?}", ended.data);
    let changed = of_laptop.until("sessions-changed");
    assert!(changed.at.saturating_duration_since(before) < AT_ONCE * 2);
    // The other account's stream receives nothing of this end, only its own later end with another reason.
    done(&db, &["session", "revoke", "--email", SAM]);
    of_sam.ends("revoked");
}

async fn every_end_is_announced_with_its_reason(db: TestDb) {
    let server = serve(&db);
    let ways: [(&[&str], &str); 4] = [
        (&["session", "revoke", "--email", KIM], "revoked"),
        (&["session", "revoke", "--all"], "revoked"),
        (&["user", "disable", KIM], "revoked"),
        (&["user", "set-password", "--password-stdin", KIM], "revoked"),
    ];
    add_second_owner(&db);
    for (args, reason) in ways {
        let stream = Stream::open(server.port, &signed_in(&server, KIM));
        let out = sessile(&db, args, crate::support::PASSWORD);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let returned = Instant::now();
        let ended = stream.ends(reason);
        assert!(ended.at.saturating_duration_since(returned) < AT_ONCE, "{args:?}");
        done(&db, &["user", "enable", KIM]);
    }
    let mut shared = signed_in(&server, KIM);
    let stream = Stream::open(server.port, &shared);
    shared.log_in(SAM);
    stream.ends("replaced");
}

fn add_second_owner(db: &TestDb) {
    crate::support::add_user(db, "lou@example.com", "owner");
}

async fn a_rotation_sends_the_stream_to_the_new_cookie(db: TestDb) {
    let server = serve(&db);
    let mut client = signed_in(&server, KIM);
    let before = client.clone();
    let stream = Stream::open(server.port, &client);
    client.log_in(KIM);
    let told = stream.until("sessions-changed");
    let told = if told.data["rotated"] == true { told } else { stream.until("sessions-changed") };
    assert_eq!(told.data["rotated"], true);
    assert!(stream.next().is_none(), "the old key's stream is closed");
    let again = Stream::open(server.port, &client);
    assert!(
        Stream::try_open(server.port, &before).head.starts_with("HTTP/1.1 401"),
        "the old key opens no stream after the new key is used"
    );
    log_out(&mut client);
    again.ends("logged-out");
}

async fn a_stream_is_closed_when_its_session_expires(db: TestDb) {
    let server = serve(&db);
    let client = signed_in(&server, KIM);
    // Two seconds: no sweep runs in that time.
    db.sql("UPDATE sessions SET expires_at = INSTANT(2)");
    let stream = Stream::open(server.port, &client);
    stream.ends("expired");
    assert_eq!(
        db.sql("SELECT count(*) FROM sessions WHERE expires_at > INSTANT(0)"),
        "0",
        "the stream was closed too early"
    );
}

async fn a_stream_stays_open_when_its_session_is_extended(db: TestDb) {
    let server = serve(&db);
    let mut client = signed_in(&server, KIM);
    db.sql("UPDATE sessions SET expires_at = INSTANT(2)");
    let stream = Stream::open(server.port, &client);
    db.sql("UPDATE sessions SET expires_at = INSTANT(1000)");
    let aged = Instant::now();
    eventually("the first expiry time passes", async || aged.elapsed().as_secs() >= 3).await;
    assert_eq!(stream.so_far().iter().filter(|told| told.name == "session-ended").count(), 0);
    log_out(&mut client);
    stream.ends("logged-out");
}

async fn a_stream_of_a_session_that_the_sweep_ends_is_closed(db: TestDb) {
    let server = serve(&db);
    let streams: Vec<Stream> = (0..3).map(|_| Stream::open(server.port, &signed_in(&server, KIM))).collect();
    // The node has cached the earlier expiry time.
    db.sql("UPDATE sessions SET expires_at = INSTANT(-1)");
    done(&db, &["prune"]);
    let returned = Instant::now();
    for stream in streams {
        let ended = stream.ends("expired");
        assert!(ended.at.saturating_duration_since(returned) < AT_ONCE);
    }
}

async fn streams_and_automatic_requests_are_no_activity(db: TestDb) {
    let server = serve(&db);
    let mut client = signed_in(&server, KIM);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-3000)");
    let activity = || db.sql("SELECT last_activity FROM sessions");
    let before = activity();
    let stream = Stream::open(server.port, &client);
    for path in ["/api/session", "/dashboard"] {
        let answer = client.send("GET", path, &[("X-Unattended", "1")], b"");
        assert_eq!((answer.status, answer.sets("aiq_session")), (200, None), "{answer:?}");
    }
    // Touches are written in order: once a later touch is written, an earlier one would be, too.
    let mut other = signed_in(&server, SAM);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-3000) WHERE account_id <> (SELECT account_id FROM sessions ORDER BY created_at LIMIT 1)");
    assert_eq!(other.get("/api/session").status, 200);
    eventually("the touch of another session is written", async || {
        db.sql("SELECT count(*) FROM sessions WHERE last_activity > INSTANT(-100)") == "1"
    })
    .await;
    assert_eq!(db.sql("SELECT min(last_activity) FROM sessions"), before);
    assert!(stream.head.to_lowercase().contains("cache-control: no-store"), "{}", stream.head);
    assert!(!stream.head.to_lowercase().contains("set-cookie"), "{}", stream.head);
    assert!(stream.head.to_lowercase().contains("x-accel-buffering: no"), "{}", stream.head);
    assert!(stream.head.to_lowercase().contains("content-type: text/event-stream"), "{}", stream.head);
}

async fn streams_do_not_hold_up_the_end_of_the_program(db: TestDb) {
    let server = serve_process(&db);
    let without = Server::start(&db, &[]);
    let started = Instant::now();
    assert_eq!(without.terminate(), Some(0));
    let without = started.elapsed();
    let streams: Vec<Stream> = (0..20).map(|_| Stream::open(server.port, &signed_in(&server, KIM))).collect();
    let started = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    let with = started.elapsed();
    println!("the end took {without:?} without streams and {with:?} with twenty");
    assert!(with < without + std::time::Duration::from_secs(3), "{with:?} against {without:?}");
    for stream in streams {
        while let Some(told) = stream.next() {
            assert_ne!(told.name, "session-ended", "a stopping node ends no session");
        }
    }
}

async fn the_oldest_of_too_many_streams_is_closed(db: TestDb) {
    let server = serve(&db);
    let mut client = signed_in(&server, KIM);
    let streams: Vec<Stream> = (0..9).map(|_| Stream::open(server.port, &client)).collect();
    while let Some(told) = streams[0].next() {
        assert_eq!(told.name, "sessions-changed", "the stream gets no wrong reason");
    }
    log_out(&mut client);
    for stream in &streams[1..] {
        stream.ends("logged-out");
    }
}

async fn a_stream_without_news_sends_heartbeats(db: TestDb) {
    let server = serve(&db);
    let stream = Stream::open(server.port, &signed_in(&server, KIM));
    eventually("a beat", async || stream.beats() >= 1).await;
    assert!(stream.so_far().iter().all(|told| told.name != "session-ended"));
}

async fn a_new_device_is_announced_to_the_others(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM);
    let stream = Stream::open(server.port, &desk);
    // Events of its own sign-in may still arrive.
    eventually("its own events arrive", async || {
        desk.json("PATCH", "/api/session/data", &serde_json::json!({"a": 1}));
        !stream.so_far().is_empty() || !desk.get("/dashboard").body.contains("New sign-in")
    })
    .await;
    let mut phone = signed_in(&server, KIM);
    stream.until("sessions-changed");
    assert!(desk.get("/dashboard").body.contains("New sign-in"));
    let id = phone.get("/api/session").json()["session"]["deviceId"].as_str().expect("an id").to_owned();
    let csrf = desk.form_token("/account");
    assert_eq!(desk.form("/devices", &[("csrf", &csrf), ("known", &id)]).status, 303);
    stream.until("sessions-changed");
    assert!(!desk.get("/dashboard").body.contains("New sign-in"));
}

async fn the_time_until_an_end_is_known_is_counted(db: TestDb) {
    let server = serve(&db);
    let counted = || {
        let figures = server.client().get("/metrics").body;
        let of = |name: &str| {
            let line = figures.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{figures}"));
            line.rsplit(' ').next().unwrap().parse::<f64>().expect("a number")
        };
        (of("sessile_news_seconds_count"), of("sessile_news_seconds_sum"))
    };
    let mut client = signed_in(&server, KIM);
    let stream = Stream::open(server.port, &client);
    let before = counted();
    log_out(&mut client);
    stream.ends("logged-out");
    let after = counted();
    assert_eq!(after.0 - before.0, 1.0);
    assert!(after.1 - before.1 < 1.0 && after.1 >= before.1, "{before:?} {after:?}");
}

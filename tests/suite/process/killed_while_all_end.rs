//! A command that ends all sessions is killed, and so are servers that end the rows afterwards. Either all sessions have ended
//! or none, and each gets one event.

use super::{KIM, lasting_port};
use crate::{
    cache::commands::copy_session,
    support::{Server, TestDb, add_user, command, eventually, on_both_engines, sessile},
};

on_both_engines! {
    a_killed_command_ends_all_sessions_or_none,
    killed_servers_leave_no_session_without_its_event,
}

const SETTINGS: &[(&str, &str)] = &[("SESSILE_SESSIONS_PER_ACCOUNT", "0"), ("SESSILE_LOG", "warn")];
/// So many that a command leaves the rows to the servers.
const COPIES: usize = 2_100;

async fn a_killed_command_ends_all_sessions_or_none(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, SETTINGS);
    let generation = || db.sql("SELECT number FROM session_generation");
    let mut outcomes = [0, 0];
    for round in 0..12 {
        let mut clients = [server.client(), server.client()];
        for client in &mut clients {
            client.log_in(KIM);
            assert_eq!(client.get("/api/session").status, 200);
        }
        let before = generation();
        let mut killed = command(&db, SETTINGS).args(["session", "revoke", "--all"]).spawn().expect("the program");
        // Each round kills it somewhat later: the other requests take time.
        for _ in 0..round * 25 {
            server.client().get("/healthz");
        }
        killed.kill().expect("a process to kill");
        killed.wait().expect("an exit status");
        // A transaction that was under way is over when another one holds its row.
        db.sql("UPDATE session_generation SET number = number");
        let ended = generation() != before;
        outcomes[usize::from(ended)] += 1;
        let told = clients.each_mut().map(|client| client.get("/api/session").status);
        assert_eq!(told, if ended { [401, 401] } else { [200, 200] }, "round {round}");
        let events = db.sql("SELECT count(*) FROM audit WHERE kind = 'session.all-revoked'");
        assert_eq!(events, generation(), "each end of all sessions has its event");
    }
    println!("killed before and after the end: {outcomes:?}");
}

async fn killed_servers_leave_no_session_without_its_event(db: TestDb) {
    add_user(&db, KIM, "owner");
    let port = lasting_port();
    let mut server = Server::start_on(&db, port, SETTINGS);
    let mut client = server.client();
    client.log_in(KIM);
    copy_session(&db, 0, COPIES);
    let all = sessile(&db, &["session", "revoke", "--all"], "");
    assert_eq!(String::from_utf8_lossy(&all.stdout), format!("ended {}\n", COPIES + 1), "{all:?}");
    let left = || db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL").parse::<usize>().expect("a number");
    let mut kills = 0;
    while left() > COPIES / 4 {
        let before = left();
        eventually("the server has ended some rows", async || left() < before).await;
        server.kill();
        kills += 1;
        let events = db.sql("SELECT count(*) FROM audit WHERE kind = 'session.revoked' AND actor = 'operator'");
        assert_eq!(events, (COPIES + 1 - left()).to_string(), "a row and its event end together");
        server = Server::start_on(&db, port, SETTINGS);
        let answer = client.get("/api/session");
        assert_eq!((answer.status, answer.json()["reason"].as_str()), (401, Some("revoked")));
    }
    eventually("the server has ended all rows", async || left() == 0).await;
    assert!(kills > 0);
    let events = "SELECT count(*) || ' ' || count(DISTINCT session_id) FROM audit WHERE kind = 'session.revoked'";
    assert_eq!(db.sql(events), format!("{0} {0}", COPIES + 1));
    let doctor = String::from_utf8(sessile(&db, &["doctor"], "").stdout).expect("text");
    assert!(doctor.contains("ok  audit trail: unchanged"), "{doctor}");
}

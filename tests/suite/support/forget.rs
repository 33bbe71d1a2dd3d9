//! Makes the running nodes forget what they cached, after a case has changed rows behind their backs.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use super::{
    Engine, TestDb,
    database::{FILE, psql},
};

/// Says that any session may have changed, in the name of a node that waits for confirmations.
const MANY: &str = r#"0@test.1 {"what":"many"}"#;

/// Whether a statement may change what nodes cache.
pub fn changes_something_cached(statement: &str) -> bool {
    let changes = ["UPDATE ", "DELETE ", "ALTER "].iter().any(|word| statement.trim_start().starts_with(word));
    changes && ["sessions", "accounts", "devices", "app_grants", "apps"].iter().any(|table| statement.contains(table))
}

/// Returns when every node has forgotten what it cached.
pub fn forget_cached(db: &TestDb) {
    match db.engine {
        Engine::Sqlite => tell_sockets(db),
        Engine::Postgres => notify_nodes(db),
    }
}

fn tell_sockets(db: &TestDb) {
    for entry in std::fs::read_dir(&db.folder).unwrap().map_while(Result::ok) {
        let name = entry.file_name().into_string().unwrap();
        if !name.starts_with(&format!("{FILE}.live-")) || !name.ends_with(".sock") {
            continue;
        }
        // A socket that nobody serves belongs to a node that was killed.
        let Ok(mut stream) = UnixStream::connect(entry.path()) else { continue };
        let sent = stream.write_all(format!("{MANY}\n").as_bytes());
        sent.and_then(|()| stream.shutdown(std::net::Shutdown::Write)).unwrap();
        stream.read_to_string(&mut String::new()).unwrap();
    }
}

fn notify_nodes(db: &TestDb) {
    if psql(db.url(), "SELECT to_regclass('nodes') IS NULL") == "t" {
        return;
    }
    let recent = "SELECT count(*) FROM nodes WHERE beaten_at > statement_timestamp() - interval '1 second'";
    for _ in 0..50 {
        let nodes: usize = psql(db.url(), recent).parse().unwrap();
        if nodes == 0 {
            return;
        }
        let said = psql(
            db.url(),
            &format!(
                "LISTEN \"sessile_test\"; SELECT pg_notify('sessile', '{MANY}'); SELECT pg_sleep(0.02); SELECT 1;"
            ),
        );
        if said.matches("confirm 1 ").count() >= nodes {
            return;
        }
    }
    panic!("the nodes do not forget what they cached");
}
